"""What `make` installs: exactly what was locked, and all that the package asks for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAB, DEV, CLIENTS, AIDER = (ROOT / "constraints" / f"{name}.txt" for name in ("lab", "dev", "clients", "aider"))


def locked(file: Path) -> dict[str, set[str]]:
    """The versions of each package; a second one serves other Pythons or systems."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", file.read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def wanted(*sources: list[str | dict[str, str]]) -> Iterator[Requirement]:
    """Every requirement on others; groups and extras of our own are listed by themselves."""
    entries = (entry for source in sources for entry in source if isinstance(entry, str))
    return (found for entry in entries if (found := Requirement(entry)).name != PROJECT["project"]["name"])


EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
RUNTIME_EXTRAS = [EXTRAS[name] for name in ("keys", "jupyter", "local", "lab")]
RUNTIME = [PROJECT["project"]["dependencies"], *RUNTIME_EXTRAS, GROUPS["build"]]


@pytest.mark.parametrize(
    ("file", "sources"),
    [
        (LAB, RUNTIME),
        (DEV, [*RUNTIME, EXTRAS["nested"], GROUPS["dev"]]),
        (CLIENTS, [GROUPS["clients"]]),
        (AIDER, [GROUPS["aider"]]),
    ],
    ids=["lab", "dev", "clients", "aider"],
)
def test_the_lock_satisfies_the_metadata(file, sources):
    """Whoever adds or raises a requirement and forgets `make lock` hears of it here."""
    versions = locked(file)

    unmet = [
        str(requirement)
        for requirement in wanted(*sources)
        if not any(map(requirement.specifier.contains, versions.get(canonicalize_name(requirement.name), ())))
    ]

    assert unmet == []


def test_one_environment_serves_both_locks():
    """`make test` after `make lab` adds packages and changes none."""
    dev = locked(DEV)

    assert {name: versions for name, versions in locked(LAB).items() if dev.get(name) != versions} == {}


@pytest.mark.parametrize("file", [LAB, DEV, CLIENTS, AIDER], ids=lambda file: file.stem)
def test_the_lock_holds_versions_and_hashes_alone(file):
    """No address of an index and no path of the machine that made it."""
    line = re.compile(r"(    --hash=sha256:[0-9a-f]{64}|[\w.-]+==[\w.+!]+( ; [\w\s.'<>=!()]+)?)( \\)?")

    strangers = [text for text in file.read_text().splitlines() if not line.fullmatch(text)]

    assert strangers == []
