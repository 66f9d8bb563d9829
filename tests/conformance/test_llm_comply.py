"""What a public conformance tool finds, asked of our real server in every dialect that it knows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from tests.server.conftest import Served


class Run(NamedTuple):
    """One run of the tool: the dialect, where it is asked, which model, how many checks there are."""

    dialect: str
    base: str
    model: str
    checks: int
    options: Sequence[str] = ()


KEY_HEADER = ("--auth-header", "x-api-key", "--no-bearer")
NEW, OLD = (("-H", f"anthropic-version:{version}") for version in ("2026-10-21", "2023-06-01"))
RUNS = {
    "chat": Run("openai-chat", "/v1", "o3-obedient", 9),
    "responses": Run("open-responses", "/v1", "o3-obedient", 13),
    "messages": Run("anthropic", "/v1", "claude-sonnet-4-obedient", 9, NEW),
    "messages-key-header": Run("anthropic", "/v1", "claude-sonnet-4-obedient", 9, (*KEY_HEADER, *NEW)),
    "messages-old": Run("anthropic", "/v1", "claude-sonnet-4-obedient", 9, OLD),
    "messages-old-key-header": Run("anthropic", "/v1", "claude-sonnet-4-obedient", 9, (*KEY_HEADER, *OLD)),
    "gemini": Run("google-genai", "", "gemini-obedient", 9, ("--auth-header", "x-goog-api-key", "--no-bearer")),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_tool_has_nothing_to_remark(served: Served, name: str):
    """Every check runs; none fails, none is skipped, none warns."""
    results = judged(served, RUNS[name])["results"]

    assert len(results) == RUNS[name].checks
    assert {check["id"]: remarks(check) for check in results if remarks(check)} == {}


def remarks(check: dict[str, Any]) -> Sequence[str]:
    """What the tool says against us, and that it skipped the check, if it did."""
    skipped = ["skipped"] if check["status"] == "skipped" else []
    return (*skipped, *check.get("errors", ()), *check.get("warnings", ()))


def judged(served: Served, run: Run) -> dict[str, Any]:
    """The tool's own report."""
    where = ["--base-url", served.url + run.base, "--api-key", served.key, "--model", run.model]
    command = [sys.executable, "-m", "llm_comply.cli", "--json", "--timeout", "20", "--format", run.dialect]
    done = subprocess.run([*command, *where, *run.options], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    return dict(json.loads(done.stdout))
