"""What the server counts, and what it sends away when there is too much of it."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest

from osaurus_nb.errors import RateLimited
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

LIMITED = RateLimited("slow down", provider="lab", retry_after=0)
CANARY = "canary-4711"


@pytest.fixture
def adapters():
    lab = ScriptedAdapter({"bad": [[LIMITED]], "slow": [[1.0, *says("late")]]}, provider="lab")
    return [lab, ScriptedAdapter({"m": [says("good ", "day ", CANARY)]}, provider="spare")]


@pytest.fixture
def server(serve, adapters):
    with serve(backend=lambda: Runtime(adapters), max_active=1, max_waiting=1) as served:
        yield served


def sample(text: str, name: str) -> dict[str, float]:
    """The samples of one family, by their labels."""
    rows = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in rows}


def test_what_happened_is_counted(server):
    """Requests, attempts with what came of them, failovers, tokens and times: and nothing of what was said."""
    server.chat("lab/bad", fallbacks=["spare/m"])
    server.chat("spare/m", stream=True)
    server.chat("lab/bad")
    server.chat("spare/m", headers={"X-Osaurus-Chaos": "lab down"})

    answer = server.ask("GET", "/metrics")
    text = answer.body.decode()

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert sample(text, "osaurus_requests_total") == {
        'outcome="ok",chaos="no"': 2,
        'outcome="rate_limit_exceeded",chaos="no"': 1,
        'outcome="ok",chaos="yes"': 1,
    }
    attempts = sample(text, "osaurus_attempts_total")
    assert attempts['provider="spare",model="spare/m",outcome="ok"'] == 3
    assert attempts['provider="lab",model="lab/bad",outcome="rate_limit_exceeded"'] >= 2
    assert sample(text, "osaurus_failovers_total") == {"": 1}
    assert sample(text, "osaurus_tokens_total")['provider="spare",model="spare/m",direction="output"'] == 9
    assert sample(text, "osaurus_first_token_seconds_count") == {'provider="spare"': 3}
    assert sample(text, "osaurus_duration_seconds_bucket")['provider="spare",outcome="ok",le="+Inf"'] == 3
    assert sample(text, "osaurus_breaker_state") == {'provider="lab",model=""': 0, 'provider="spare",model=""': 0}
    assert CANARY not in text
    assert "Say hello" not in text


def test_every_line_is_of_the_format(server):
    """A scraper reads all of it: comments, and samples of a name, labels and a number."""
    server.chat("spare/m")

    lines = server.ask("GET", "/metrics").body.decode().splitlines()

    sample_line = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+')
    assert all(line.startswith(("# HELP ", "# TYPE ")) or sample_line.fullmatch(line) for line in lines)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))


def test_a_key_without_the_scope_sees_nothing(server):
    """They tell who is asked and what it costs."""
    bare, _ = server.service.keys.issue("bare", scopes={"generate"}, expires_in=None)

    assert server.ask("GET", "/metrics", key=bare).status == 403
    assert server.ask("GET", "/metrics", key=None).status == 401


def test_what_is_too_much_is_sent_away_in_the_callers_dialect(server):
    """One works, one waits its turn and is answered; the third is told when to come again."""
    answers = {}

    def ask(number: int) -> None:
        answers[number] = server.chat("lab/slow")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    body = {"model": "lab/slow", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    refused = server.ask("POST", "/v1/messages", json_body=body)
    health = server.ask("GET", "/health").json
    for thread in threads:
        thread.join(10)

    assert [answers[number].status for number in (0, 1)] == [200, 200]
    assert refused.status in (503, 529)
    assert refused.json["type"] == "error"
    assert int(refused.headers["retry-after"]) >= 1
    assert "x-should-retry" not in refused.headers
    assert (health["waiting"], health["refused"]) == (1, 1)
    assert server.chat("spare/m").status == 200


def test_who_leaves_while_he_waits_holds_no_place(server):
    """His turn goes to the next."""
    slow = threading.Thread(target=lambda: server.chat("lab/slow"))
    slow.start()
    time.sleep(0.2)
    with asking(server):
        time.sleep(0.2)
        waited = server.service.admission.waiting
    time.sleep(0.2)

    waiting = server.service.admission.waiting
    answer = server.chat("spare/m")
    slow.join(10)

    assert (waited, waiting) == (1, 0)
    assert answer.status == 200


def asking(server):
    """A caller who sent his question."""
    body = b'{"model": "lab/slow", "messages": [{"role": "user", "content": "hi"}]}'
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST {server.path}/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    sent = f"{head}Authorization: Bearer {server.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(sent.encode() + body)
    return connection
