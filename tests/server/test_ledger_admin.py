"""`/osaurus/admin/ledger` and `/osaurus/usage`: what was spent, and the caps, for those who may see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import database
from osaurus_nb.config.paths import Paths
from osaurus_nb.gateway.keys import PLAIN_SCOPES
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.ledger.verifying import verify
from osaurus_nb.secrets import secrets_of
from tests.server.conftest import Answer, Served
from tests.server.ledger import COST_MICRO, Paid, billed, lines, paid

CANARY = "canary-4711"


@pytest.fixture
def adapter() -> Paid:
    return paid()


@pytest.fixture
def server(jupyter_dirs: Path, tmp_path: Path, adapter: Paid) -> Iterator[Served]:
    with billed(tmp_path, [adapter]) as served:
        yield served


def ask(server: Served, *, key: str = "", notebook: str = "a.ipynb", **fields: Any) -> Answer:
    body = {"model": "good", "messages": [{"role": "user", "content": f"Say hello, {CANARY}."}], **fields}
    answer = server.ask(
        "POST", "/v1/chat/completions", json_body=body, key=key, headers={"X-Osaurus-Notebook": notebook}
    )
    lines(server)
    return answer


def get(server: Served, path: str, **more: Any) -> Answer:
    return server.ask("GET", path, **more)


def plain(server: Served) -> str:
    return server.service.keys.issue("a colleague", scopes=PLAIN_SCOPES, expires_in=None)[0]


PATHS = [
    ("GET", "/admin/ledger"),
    ("GET", "/admin/ledger/totals?by=day"),
    ("GET", "/admin/ledger/budgets"),
    ("PUT", "/admin/ledger/budgets/day"),
    ("DELETE", "/admin/ledger/budgets/key/x"),
    ("POST", "/admin/ledger/steps/x/void"),
    ("GET", "/admin/ledger/status"),
    ("POST", "/admin/ledger/check"),
    ("POST", "/admin/ledger/encrypt"),
    ("GET", "/admin/ledger/diagnostics"),
    ("GET", "/admin/ledger/export"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_the_ledger_is_for_administrators(server: Served, method: str, path: str) -> None:
    """What others spend, and where, is nobody's business."""
    answer = server.ask(method, path, json_body={} if method != "GET" else None, key=plain(server))

    assert answer.status == 403


def test_lines_come_in_pages_newest_first(server: Served) -> None:
    """Each page says before which line the next one begins, until there is none."""
    for name in "abc":
        ask(server, notebook=name)

    first = get(server, "/admin/ledger?limit=2").json
    second = get(server, f"/admin/ledger?limit=2&before={first['before']}").json

    assert [row["origin"]["notebook"] for row in (*first["data"], *second["data"])] == ["c", "b", "a"]
    assert (first["has_more"], second["has_more"], second["before"]) == (True, False, None)


def test_a_line_has_figures_and_ids_and_no_word(server: Served) -> None:
    """Everything that is known of a call, and nothing of what was said."""
    ask(server)

    answer = get(server, "/admin/ledger")

    [line] = answer.json["data"]
    assert (line["object"], line["provider"], line["model"], line["kind"]) == (
        "ledger.entry",
        "scripted",
        "good",
        "settle",
    )
    assert line["usage"]["input_tokens"] == 3
    assert line["cost"] == {"micro": COST_MICRO, "source": "list", "version": None, "estimated": False}
    assert line["orphan"] is False
    assert CANARY not in answer.body.decode()
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("notebook=b", 1),
        ("notebook=c", 0),
        ("provider=scripted&model=good", 2),
        ("outcome=rendered", 2),
        ("outcome=error", 0),
        ("orphans=true", 0),
        ("since=0&until=9999999999", 2),
        ("until=1", 0),
        ("step=x", 0),
        ("key_id=x", 0),
        ("session=x", 0),
        ("cell=x", 0),
    ],
)
def test_lines_are_found_by_what_is_known_of_them(server: Served, query: str, found: int) -> None:
    """The parameters are the fields of a query, and all of them hold."""
    ask(server, notebook="a")
    ask(server, notebook="b")

    assert len(get(server, f"/admin/ledger?{query}").json["data"]) == found


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/admin/ledger?notebok=a", "notebok"),
        ("/admin/ledger?key=a", "key"),
        ("/admin/ledger?limit=0", "limit"),
        ("/admin/ledger?limit=1001", "limit"),
        ("/admin/ledger?limit=x", "limit"),
        ("/admin/ledger?since=yesterday", "since"),
        ("/admin/ledger?since=nan", "since"),
        ("/admin/ledger?before=-1", "before"),
        ("/admin/ledger?orphans=maybe", "orphans"),
        ("/admin/ledger?outcome=good", "outcome"),
        ("/admin/ledger?cell=a&cell=b", "cell"),
        ("/admin/ledger/totals", "by"),
        ("/admin/ledger/totals?by=mood", "by"),
        ("/admin/ledger/totals?by=day&by=day", "by"),
        ("/admin/ledger/budgets?since=1", "since"),
        ("/usage?key_id=x", "key_id"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused_by_name(server: Served, path: str, param: str) -> None:
    """A filter that is passed over would show lines that nobody asked for."""
    answer = get(server, path)

    assert answer.status == 400
    assert answer.json["error"]["param"] == param


def test_a_key_may_come_in_the_address(server: Served) -> None:
    """It is the credential there, and no filter."""
    ask(server)

    answer = get(server, f"/admin/ledger?key={server.key}&limit=1", key=None)

    assert (answer.status, len(answer.json["data"])) == (200, 1)


def test_spending_is_summed(server: Served) -> None:
    """By notebook, by model, by day: the sum of the lines that a query finds."""
    for name in "aab":
        ask(server, notebook=name)

    sums = get(server, "/admin/ledger/totals?by=notebook").json
    one = get(server, "/admin/ledger/totals?by=model&notebook=b").json

    assert {row["key"]: row["cost_micro"] for row in sums["data"]} == {"a": 2 * COST_MICRO, "b": COST_MICRO}
    assert [(row["key"], row["calls"]) for row in one["data"]] == [("scripted/good", 1)]


def test_a_cap_is_set_and_holds_at_once(server: Served) -> None:
    """Dollars go in; the next call falls under it; without it the call is made again."""
    ask(server)

    put = server.ask("PUT", "/admin/ledger/budgets/notebook", json_body={"limit": "0.000001"})
    refused = ask(server, max_tokens=1)
    shown = get(server, "/admin/ledger/budgets?notebook=a.ipynb").json
    gone = server.ask("DELETE", "/admin/ledger/budgets/notebook", json_body={})

    assert put.json["limits_micro"]["notebook"] == 1
    assert refused.status == 402
    [state] = [row for row in shown["data"] if row["scope"] == "notebook:a.ipynb"]
    assert (state["limit_micro"], state["spent_micro"], state["left_micro"]) == (1, COST_MICRO, 0)
    assert gone.json["limits_micro"]["notebook"] is None
    assert ask(server, max_tokens=1).status == 200


def test_keys_and_providers_are_capped_by_name(server: Served) -> None:
    """One key, one provider: the caps of others stay as they are."""
    server.ask("PUT", "/admin/ledger/budgets/key/k1", json_body={"limit": 1})
    server.ask("PUT", "/admin/ledger/budgets/key/k2", json_body={"limit": 2.5})
    server.ask("PUT", "/admin/ledger/budgets/provider/openai", json_body={"limit": "$3"})

    answer = server.ask("DELETE", "/admin/ledger/budgets/key/k1", json_body={})

    limits = answer.json["limits_micro"]
    assert (limits["keys"], limits["providers"]) == ({"k2": 2_500_000}, {"openai": 3_000_000})


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("day", {}, 400, "limit"),
        ("day", {"limit": -1}, 400, "limit"),
        ("day", {"limit": "much"}, 400, "limit"),
        ("day", {"limit": None}, 400, "limit"),
        ("day", {"limit": True}, 400, "limit"),
        ("day", {"limit": 1, "more": 2}, 400, "more"),
        ("key", {"limit": 1}, 404, "key"),
        ("day/x", {"limit": 1}, 404, None),
        ("week", {"limit": 1}, 404, None),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(
    server: Served, path: str, body: Any, status: int, param: str | None
) -> None:
    """Nothing is changed then, and the field at fault is named."""
    answer = server.ask("PUT", f"/admin/ledger/budgets/{path}", json_body=body)

    assert answer.status == status
    if param is not None:
        assert answer.json["error"]["param"].partition(".")[0] == param


def test_striking_a_step_says_how_many_lines_there_were(server: Served) -> None:
    """None, where the step has its end: what is settled stays."""
    ask(server)
    [line] = lines(server)

    answer = server.ask("POST", f"/admin/ledger/steps/{line['step']}/void", json_body={})

    assert answer.json == {"object": "ledger.void", "step": line["step"], "voided": 0}
    assert lines(server) == [line]


def test_the_ledger_says_how_it_does(server: Served) -> None:
    """Where it is, how many lines it has, and whether it lasts."""
    ask(server)

    said = get(server, "/admin/ledger/status").json

    assert (said["object"], said["state"], said["path"]) == ("ledger.status", "memory", None)
    assert said["rows"] >= 1


def test_figures_for_somebody_who_helps(server: Served) -> None:
    """The app's own file of diagnostics: every call, no notebook, no word."""
    for _ in range(3):
        ask(server, notebook="secret-plans.ipynb")

    answer = get(server, "/admin/ledger/diagnostics")

    assert answer.status == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert "secret-plans" not in answer.body.decode()
    assert CANARY not in answer.body.decode()
    assert answer.json["schemaVersion"] == 1


def test_a_key_sees_what_it_spent_itself(server: Served) -> None:
    """And nothing of what others did, whatever the scopes of either."""
    mine, yours = plain(server), plain(server)
    ask(server, key=mine)
    ask(server, key=mine)
    ask(server, key=yours)

    said = get(server, "/usage", key=mine).json

    assert said["by_model"][0]["calls"] == 2
    assert said["by_day"][0]["cost_micro"] == 2 * COST_MICRO
    assert said["budgets"] == []


def test_a_key_sees_its_own_cap_alone(server: Served) -> None:
    """What all may spend together in a day is the administrator's to know."""
    text, key = server.service.keys.issue("mine", scopes=PLAIN_SCOPES, expires_in=None)
    server.ask("PUT", f"/admin/ledger/budgets/key/{key.id}", json_body={"limit": 1})
    server.ask("PUT", "/admin/ledger/budgets/day", json_body={"limit": 5})
    ask(server, key=text, max_tokens=5)

    [budget] = get(server, "/usage", key=text).json["budgets"]

    assert budget["scope"].startswith(f"key:{key.id}")
    assert (budget["limit_micro"], budget["spent_micro"]) == (1_000_000, COST_MICRO)


def test_no_key_no_figures(server: Served) -> None:
    """Neither of all nor of oneself."""
    assert {get(server, path, key=None).status for path in ("/usage", "/admin/ledger")} == {401}


def test_content_is_nowhere(server: Served) -> None:
    """What was asked and answered is in no answer of the administration, whole or failed."""
    ask(server)
    ask(server, model="nobody")

    bodies = [get(server, path).body.decode() for method, path in PATHS if method == "GET" and "export" not in path]

    assert not any(CANARY in body for body in bodies)
    assert all(json.loads(body) for body in bodies)


def test_a_ledger_in_memory_is_not_exported(server: Served) -> None:
    """What does not last cannot be vouched for: a 409 says so."""
    ask(server)

    answer = get(server, "/admin/ledger/export")

    assert answer.status == 409
    assert "memory" in answer.json["error"]["message"]


def test_a_kept_ledger_is_exported_with_its_chain(tmp_path: Path, jupyter_dirs: Path, adapter: Paid) -> None:
    """The file holds together for whoever checks it, and is not signed where there is no identity."""
    with billed(tmp_path, [adapter], vault="5a" * 32) as served:
        ask(served)
        ask(served)

        answer = get(served, "/admin/ledger/export")

    verdict = verify(answer.body)
    assert (answer.status, verdict.whole, verdict.lines, verdict.signer) == (200, True, 4, None)
    assert CANARY not in answer.body.decode()


def test_an_export_is_signed_by_the_identity(tmp_path: Path, jupyter_dirs: Path, adapter: Paid) -> None:
    """A colleague sees whose it is, and that nothing was changed since."""
    with billed(tmp_path, [adapter], vault="5a" * 32) as served:
        paths = Paths(tmp_path / "osaurus")
        book = AccessKeys(paths.home / "identity")
        Identity.create(secrets_of(paths).slots, book)
        ask(served)

        answer = get(served, "/admin/ledger/export")

    assert verify(answer.body, book.address).signer == book.address


def test_a_kept_ledger_is_checked(tmp_path: Path, jupyter_dirs: Path, adapter: Paid) -> None:
    """All of it is read, while calls go on; it is encrypted already, so that nothing changes."""
    with billed(tmp_path, [adapter], vault="5a" * 32) as served:
        ask(served)

        checked = served.ask("POST", "/admin/ledger/check", json_body={})
        encrypted = served.ask("POST", "/admin/ledger/encrypt", json_body={})

        assert (checked.status, checked.json["object"], checked.json["damaged"]) == (200, "ledger.checked", False)
        assert (encrypted.status, encrypted.json["encrypted"], encrypted.json["state"]) == (200, False, "encrypted")
        assert ask(served).status == 200


def test_a_ledger_in_clear_is_encrypted_while_calls_go_on(tmp_path: Path, jupyter_dirs: Path, adapter: Paid) -> None:
    """No line is lost, from before or after."""
    file = tmp_path / "osaurus" / "billing" / "ledger.sqlite"
    file.parent.mkdir(parents=True)
    with closing(database.connect(file, None)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with billed(tmp_path, [adapter], vault="5a" * 32) as served:
        ask(served)
        before = get(served, "/admin/ledger/status").json["state"]

        answer = served.ask("POST", "/admin/ledger/encrypt", json_body={})

        ask(served)
        assert (before, answer.json["encrypted"], answer.json["state"]) == ("plaintext", True, "encrypted")
        assert len(lines(served)) == 2
    assert not database.plain(file)


@pytest.mark.parametrize("what", ["check", "encrypt"])
def test_a_ledger_in_memory_has_no_file_to_look_after(server: Served, what: str) -> None:
    """A 409 says so."""
    ask(server)

    assert server.ask("POST", f"/admin/ledger/{what}", json_body={}).status == 409
