"""What must stay here stays here: no strict question dials or looks up anybody else, whatever its provider claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOOPBACK = "127.0.0.1"
#: They claim to be of this network, so only their address can tell.
CLAIMED = {"tricky.local", "both.local"}
PROXY = "http://192.0.2.1:3128"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a watched process did and saw; the environment names proxies."""
    home = tmp_path_factory.mktemp("home")
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), PROXY)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("watched.py"), home],
        env={**os.environ, **proxies, "OSAURUS_HOME": str(home)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All questions by name, those under the switch for all with a prefix."""
    under = {f"home {name}": row for name, row in report["home"].items()}
    return {name: row for name, row in {**report, **under}.items() if isinstance(row, dict) and "dials" in row}


def test_nobody_outside_is_dialled(report: dict[str, Any]) -> None:
    """Chats, fallbacks, decisions, embeddings, counts, lists, redirects and proxies: only this machine was dialled."""
    dialled = {name: set(row["dials"]) - {LOOPBACK} for name, row in rows(report).items()}

    assert len(dialled) >= 20
    assert not any(dialled.values()), dialled
    assert any(row["dials"] for row in rows(report).values())  # and the watch does see dials


def test_names_of_others_are_not_even_looked_up(report: dict[str, Any]) -> None:
    """A resolver learns nothing of a cloud provider that a strict question could have gone to, nor of a redirect."""
    asked = {name for row in rows(report).values() for name in row["names"]}

    assert asked <= CLAIMED | {LOOPBACK}
    assert asked >= CLAIMED  # and the watch does see names


@pytest.mark.parametrize(
    "name", ["terms", "cloud", "count", "embed", "decide", "home cloud", "home test", "home floor"]
)
def test_a_cloud_model_is_refused_with_a_sentence(report: dict[str, Any], name: str) -> None:
    """It is a 403 of its own that names who was meant."""
    outcome = rows(report)[name]["outcome"]

    assert (outcome["error"], outcome["status"]) == ("local_only", 403)
    assert "cloud" in outcome["said"]


@pytest.mark.parametrize("name", ["tricky", "embed-tricky", "decide-tricky", "mapped"])
def test_a_host_that_only_claims_to_be_here_is_refused_the_same(report: dict[str, Any], name: str) -> None:
    """A name of this network with a public address, and a public address in another form, end in the same error."""
    assert rows(report)[name]["outcome"]["error"] == "local_only"


def test_no_breaker_opens_for_it(report: dict[str, Any]) -> None:
    """Whom our own rule kept us from asking is not ill."""
    assert report["breakers"] == []


def test_of_two_addresses_the_one_that_is_here_is_taken(report: dict[str, Any]) -> None:
    """A host with a public and a local address is asked at the local one."""
    assert rows(report)["both"]["outcome"]["text"]


def test_fallbacks_that_are_elsewhere_are_left_out_and_that_is_said(report: dict[str, Any]) -> None:
    """The others still answer."""
    outcome = rows(report)["fallbacks"]["outcome"]

    assert outcome["asked"][-1] == "both/loopback"
    assert "cloud/gpt-5" not in outcome["asked"]
    assert any("cloud/gpt-5" in said and said.startswith("local_only") for said in outcome["warned"])


def test_a_server_here_that_passes_questions_on_is_no_way_out(report: dict[str, Any]) -> None:
    """A `-cloud` model of a server on this machine is refused by its name."""
    assert rows(report)["listed"]["outcome"]["error"] == "local_only"


def test_a_profile_chooses_among_those_that_are_here(report: dict[str, Any]) -> None:
    """Under the strict mode no other model is weighed."""
    assert all(name.split("/")[0] in {"lab", "both"} for name in rows(report)["auto"]["outcome"]["asked"])


def test_a_redirect_is_followed_nowhere(report: dict[str, Any]) -> None:
    """It is an error, and its target is not even looked up."""
    assert rows(report)["redirect"]["outcome"]["error"] == "bad_response"


def test_under_the_switch_for_all_others_do_not_connect(report: dict[str, Any]) -> None:
    """They are shown as disabled, list no model, and a pull says that it fetches nothing."""
    under = report["home"]

    assert under["status"]["outcome"]["cloud"] == "disabled"
    assert all(not name.startswith("cloud/") for name in under["models"]["outcome"])
    assert under["pull"]["outcome"]["error"] == "local_only"
    assert under["chat"]["outcome"]["text"]
