"""The magics and the client in a real kernel, heard as a front end hears it."""

from __future__ import annotations

import time

import pytest


def test_a_cell_streams_into_one_output(kernel):
    """Frames replace one display; there is no second output, and `_` holds the Reply."""
    ran = kernel.run("%%osaurus\nSay hello.")

    assert ran.status == "ok"
    assert len(ran.of("display_data")) == 1
    assert ran.of("execute_result") == []
    assert ran.last["text/plain"] == "Hello **there**"
    assert "<strong>there</strong>" in ran.last["text/html"]
    assert "scripted: echo" in ran.last["text/html"]
    assert kernel.value("type(_).__name__") == "'Reply'"


def test_an_interrupt_keeps_the_partial_text(kernel):
    """The kernel's interrupt stops the model at once; the text stays, marked as stopped, with no traceback."""
    request = kernel.start("%%osaurus -m slow -> partial\nCount.")
    kernel.wait_for(request, "update_display_data", count=3)
    began = time.monotonic()

    kernel.manager.interrupt_kernel()
    ran = kernel.finish(request)

    assert time.monotonic() - began < 2
    assert ran.status == "ok"
    assert ran.of("error") == []
    assert "stopped" in ran.last["text/html"]
    assert ran.last["text/plain"].startswith("w0 w1")
    assert (
        kernel.value("_ is partial, partial.stopped, partial.text[:6], scripted.closed") == "(True, True, 'w0 w1 ', 1)"
    )


def test_an_interrupt_before_the_first_word_is_quiet_too(kernel):
    """Nothing came: the Reply is empty and stopped, and the next cell works."""
    closed = int(kernel.value("scripted.closed"))
    request = kernel.start("%%osaurus -m silent -> nothing\nhi")
    kernel.wait_for(request, "display_data")
    time.sleep(0.3)

    kernel.manager.interrupt_kernel()
    ran = kernel.finish(request)

    assert (ran.status, ran.of("error")) == ("ok", [])
    assert kernel.value("nothing.stopped, nothing.text, scripted.closed") == f"(True, '', {closed + 1})"
    assert kernel.run("%osaurus ask hi").status == "ok"


def test_updates_are_throttled_and_the_last_one_is_whole(kernel):
    """Of hundreds of pieces only about twelve frames a second are sent, and the last holds everything."""
    kernel.run(
        "fast = ScriptedAdapter({'fast': [[i for n in range(500) for i in (TextDelta(f'{n} '), 0.001)]"
        " + [Finished('stop')]]})\n"
        "notebook.use(Client(backend=Runtime([fast]), model='fast'))"
    )
    began = time.monotonic()

    ran = kernel.run("%osaurus ask go")
    took = time.monotonic() - began
    kernel.run("notebook.use(client)")

    assert ran.last["text/plain"] == "".join(f"{n} " for n in range(500))
    assert len(ran.of("update_display_data")) <= took / 0.08 + 3


def test_a_silent_stream_still_shows_its_last_piece(kernel):
    """Text held back by the throttle appears after a moment, not when the next piece comes."""
    kernel.run(
        "halting = ScriptedAdapter({'halting': [[TextDelta('one '), TextDelta('two '), TextDelta('three'), 30]]})\n"
        "notebook.use(Client(backend=Runtime([halting]), model='halting'))"
    )
    request = kernel.start("%osaurus ask go")

    frames = kernel.wait_for(request, "update_display_data", count=2)
    kernel.manager.interrupt_kernel()
    kernel.finish(request)
    kernel.run("notebook.use(client)")

    assert frames[-1]["content"]["data"]["text/plain"] == "one two three"


def test_an_error_fails_the_cell_in_one_line(kernel):
    """The traceback is the message, in one line; nothing else repeats it."""
    ran = kernel.run("%%osaurus -m nope\nhi")

    error = ran.of("error")[0]
    assert ran.status == "error"
    assert error["ename"] == "ModelNotFound"
    assert error["evalue"].startswith("There is no model 'nope'.")
    assert error["traceback"] == [f"ModelNotFound: {error['evalue']}"]
    assert "nope" not in str(ran.last)


def test_a_wrong_option_fails_the_cell(kernel):
    """A usage error stops Run All like any other, without a traceback."""
    ran = kernel.run("%%osaurus --nope\nhi")

    assert ran.status == "error"
    assert "UsageError: Unrecognized arguments: --nope" in ran.printed


@pytest.mark.parametrize(
    "cell",
    [
        "client.chat('hi').text",
        "(await AsyncClient(backend=Runtime([scripted]), model='echo').chat('hi')).text",
        "import asyncio; await asyncio.sleep(0); client.chat('hi').text",
        "from concurrent.futures import ThreadPoolExecutor as Pool; Pool(1).submit(client.chat, 'hi').result().text",
    ],
    ids=["sync", "async", "sync after await", "thread"],
)
def test_the_client_works_wherever_a_cell_runs(kernel, cell):
    """Beside the kernel's running loop, on it, and in a thread as widgets' callbacks are: no patching, no deadlock."""
    ran = kernel.run(cell)

    assert ran.of("error") == []
    assert ran.of("execute_result")[0]["data"]["text/plain"] == "'Hello **there**'"


def test_an_interrupted_call_stops_the_model(kernel):
    """`client.chat` under interrupt raises KeyboardInterrupt and leaves nothing running upstream."""
    closed = int(kernel.value("scripted.closed"))
    request = kernel.start("client.chat('hi', model='silent')")
    time.sleep(0.5)

    kernel.manager.interrupt_kernel()
    ran = kernel.finish(request)

    assert ran.of("error")[0]["ename"] == "KeyboardInterrupt"
    assert kernel.value(f"__import__('time').sleep(0.2) or scripted.closed - {closed}") == "1"


@pytest.mark.parametrize(
    ("line", "matches"),
    [
        ("%osaurus mo", ["models"]),
        (
            "%osaurus ",
            [
                "ask",
                "retry",
                "route",
                "models",
                "use",
                "status",
                "providers",
                "doctor",
                "vault",
                "identity",
                "router",
                "profiles",
                "ledger",
                "usage",
                "budget",
                "key",
                "chat",
                "private",
                "endpoint",
                "pull",
                "help",
            ],
        ),
        ("%osaurus use scripted/s", ["scripted/slow", "scripted/silent"]),
        ("%%osaurus -m scripted/b", ["scripted/broken"]),
        ("%%osaurus -t 0 --fallback=scripted/e", ["scripted/echo"]),
        ("x = %osaurus ask --model scripted/e", ["scripted/echo"]),
        ("%osaurus chat o", ["on", "off"]),
        ("%osaurus providers e", ["edit", "enable"]),
        ("%osaurus budget re", ["request"]),
        ("%osaurus vault ", ["status", "unlock", "keep"]),
        ("%osaurus identity keys ", ["list", "issue", "revoke"]),
    ],
)
def test_tab_completes_commands_and_models(kernel, line, matches):
    """The kernel's own completion offers exactly what fits, and replaces the whole word."""
    kernel.value("1")
    reply = kernel.client.complete(line, len(line), reply=True, timeout=20)["content"]

    assert reply["matches"] == matches
    assert all(match.startswith(line[reply["cursor_start"] : reply["cursor_end"]]) for match in matches)
    assert line[reply["cursor_start"] - 1] in " ="


def test_tab_elsewhere_is_left_alone(kernel):
    """Python completion is as it was."""
    kernel.run("%config IPCompleter.use_jedi = False\nsome_long_name = 1")  # jedi needs seconds to start
    reply = kernel.client.complete("some_lo", 7, reply=True, timeout=20)["content"]

    assert "some_long_name" in reply["matches"]


def test_a_reply_at_the_end_of_a_cell_shows_itself(kernel):
    """`client.chat(...)` as the last expression is an ordinary rich result."""
    data = kernel.run("client.chat('hi')").of("execute_result")[0]["data"]

    assert data["text/plain"] == "Hello **there**"
    assert "<strong>there</strong>" in data["text/html"]


def test_an_answer_that_names_a_file_is_not_opened(kernel, tmp_path):
    """A path or an address as the whole answer is shown as it is."""
    path = tmp_path / "canary.txt"
    path.write_text("canary-4711")
    kernel.run(f"notebook.use(Client(backend=Runtime([ScriptedAdapter({{'p': [says({str(path)!r})]}})]), model='p'))")

    ran = kernel.run("%osaurus ask where")
    shown = kernel.run("_")
    kernel.run("notebook.use(client)")

    assert ran.last["text/plain"] == str(path)
    assert "canary-4711" not in str(ran.messages) + str(shown.messages)
