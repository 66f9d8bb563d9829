"""Several processes change the providers' file at once: nobody's change is lost, nobody reads half a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile

WORKER = """
import sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile

file, who = ProviderFile(Paths(Path(sys.argv[1]))), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for line in sys.argv[3:]:
    act, _, rest = line.partition(" ")
    if act == "add":
        file.add(f"{who}{rest}", "http://h/v1", key_env=f"KEY_{who}{rest}")
    elif act == "header":
        file.edit("shared", headers={f"X-{who}-{rest}": rest}, header_env={f"X-Secret-{who}-{rest}": "VARIABLE"})
    elif act == "twin":
        file.add("twin", "http://h/v1")
    elif act == "take":
        file.remove(file.add("passing", "http://h/v1").id)
    file.reorder(["shared"])
    assert file.read().problems == (), file.read().problems
"""
_ACTS = st.sampled_from(["add", "header", "twin", "take"])


def run(home: Path, plans: dict[str, list[str]]) -> None:
    """All workers at the same moment."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(home), who, *(f"{act} {n}" for n, act in enumerate(plan))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who, plan in plans.items()
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.wait(60) == 0
        worker.communicate()


@settings(max_examples=5, deadline=None)
@given(st.lists(_ACTS, min_size=8, max_size=15), st.lists(_ACTS, min_size=8, max_size=15))
def test_no_change_of_either_process_is_lost(tmp_path_factory, first: list[str], second: list[str]) -> None:
    """Whatever two processes add, edit, remove and reorder at once, all of it is there in the end."""
    home = tmp_path_factory.mktemp("home")
    file = ProviderFile(Paths(home))
    file.add("shared", "http://h/v1")

    run(home, {"a": first, "b": second})

    plans = {"a": first, "b": second}
    expected = {f"{who}{n}" for who, plan in plans.items() for n, act in enumerate(plan) if act == "add"}
    headers = {f"{who}-{n}" for who, plan in plans.items() for n, act in enumerate(plan) if act == "header"}
    twins = first.count("twin") + second.count("twin")
    providers = file.load()
    assert providers[0].name == "shared"
    assert set(providers[0].headers) == {f"X-{header}" for header in headers}
    assert set(providers[0].header_env) == {f"X-Secret-{header}" for header in headers}
    assert {p.name: p.key_env for p in providers[1:] if p.name != "twin"} == {n: f"KEY_{n}" for n in expected}
    assert sorted(p.slug for p in providers if p.name == "twin") == sorted(
        "twin" if n == 1 else f"twin-{n}" for n in range(1, twins + 1)
    )
    assert len({p.id for p in providers}) == len(providers)


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    """While another process writes, every look finds whole JSON."""
    file = ProviderFile(Paths(tmp_path))
    file.add("shared", "http://h/v1")
    command = [sys.executable, "-c", WORKER, str(tmp_path), "a", *(f"add {n}" for n in range(25))]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()

    seen = 0
    while writer.poll() is None:
        json.loads(file.path.read_bytes())
        assert file.read().problems == ()
        seen += 1
    writer.communicate()

    assert seen > 1
    assert len(file.load()) == 26
