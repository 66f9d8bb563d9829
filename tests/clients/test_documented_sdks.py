"""The lines of our documentation that use the vendors' SDKs, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[2] / "docs/clients.md").read_text()
SECTION = DOCUMENT.partition("## Official SDKs")[2].partition("\n## ")[0]
BLOCKS = {
    found[1]: found[0] for found in re.findall(r"```sh\n((?:.*\n)*?.*(?:from|import) (\w+)\n(?:.*\n)*?)```", SECTION)
}


@pytest.mark.parametrize("script", BLOCKS.values(), ids=BLOCKS)
def test_the_documented_lines_answer(served, script: str):
    """Two variables and a model's name are all that a reader has to bring."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {"PATH": path, "OSAURUS_URL": served.url, "OSAURUS_KEY": served.key}

    done = subprocess.run(
        ["bash", "-e"],
        input=script.replace("MODEL", "gpt-obedient"),
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert set(done.stdout.splitlines()) == {"1 2 3 4 5"}


def test_all_four_vendors_are_documented():
    """A block that the pattern above misses would go untested."""
    assert len(BLOCKS) == 4
