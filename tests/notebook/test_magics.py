"""`%osaurus` and `%%osaurus` in a shell of this process."""

from __future__ import annotations

import logging

import pytest

from osaurus_nb import notebook
from osaurus_nb.client import AsyncClient
from osaurus_nb.errors import ModelNotFound, StreamCut, Unavailable
from osaurus_nb.events import Finished, ReasoningDelta, TextDelta
from osaurus_nb.reply import Reply
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says


def test_a_cell_asks_and_its_result_is_the_reply(room):
    """`_` and Out hold the Reply, and the answer is shown once."""
    result = room.run("%%osaurus\nSay hello.")

    assert isinstance(room.shell.user_ns["_"], Reply)
    assert room.shell.user_ns["Out"][1] is result.result
    assert room.asked == ["Say hello."]
    assert room.shown[-1]["data"]["text/plain"] == "Hello **there**"
    assert "<strong>there</strong>" in room.shown[-1]["data"]["text/html"]


def test_every_frame_of_an_answer_goes_into_one_output(room):
    """The first frame opens the output, all later ones replace it."""
    room.run("%%osaurus\nhi")

    assert [frame["update"] for frame in room.shown] == [False] + [True] * (len(room.shown) - 1)
    assert len({frame["transient"]["display_id"] for frame in room.shown}) == 1


def test_a_reply_is_shown_again_when_it_is_asked_for_again(room, capsys):
    """Only the cell that made a Reply does not show it as its result."""
    room.run("%%osaurus\nhi")
    silent = capsys.readouterr().out

    room.run("_")

    assert "there" not in silent
    assert "Hello **there**" in capsys.readouterr().out


def test_a_terminal_prints_the_answer_as_it_comes(plain, capsys):
    """Without a front end the text is printed and the footer follows as the result."""
    plain.run("%%osaurus\nhi")

    assert capsys.readouterr().out.startswith("Hello **there**\nOut[1]: scripted: echo · 3 → 2 tokens")


@pytest.mark.parametrize("scripts", [{"echo": [says("\x1b[2Jclear\x07 \x9b31m")]}])
def test_a_terminal_is_not_driven_by_the_answer(plain, capsys):
    """Control characters of the model do not reach the terminal."""
    plain.run("%%osaurus\nhi")

    printed = capsys.readouterr().out
    assert printed.startswith("[2Jclear 31m")
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)


def test_options_reach_the_request(room):
    """Each option of the first line is a field of the request."""
    room.run("%%osaurus -m other -s 'Be brief.' -t 0.5 --max-tokens 9 --seed 7 --fallback echo --fallback other\nhi")

    request = room.adapter.requests[0]
    assert request.model == "other"
    assert request.messages[0].text == "Be brief."
    assert (request.sampling.temperature, request.sampling.max_output_tokens, request.sampling.seed) == (0.5, 9, 7)
    assert request.route.fallbacks == ("echo", "other")


@pytest.mark.parametrize("line", ["-o answer", "--out=answer", "-m other -> answer", "-> answer"])
def test_the_reply_can_be_put_into_a_variable(room, line):
    """`-o NAME` and `-> NAME` are the same."""
    room.run(f"%%osaurus {line}\nhi")

    assert isinstance(room.shell.user_ns["answer"], Reply)


def test_a_line_asks_and_can_be_assigned(room):
    """`x = %osaurus ask ...` gives the Reply; quotes and options in the question stay text."""
    room.run("""x = %osaurus ask -t 0 what's "this -m thing\"""")

    assert room.shell.user_ns["x"].text == "Hello **there**"
    assert room.asked == ["""what's "this -m thing\""""]
    assert room.adapter.requests[0].sampling.temperature == 0


@pytest.mark.parametrize(
    "line", ["%osaurus ask is it so?", "x = %osaurus ask is it so?", "if 1:\n    %osaurus ask is it so?"]
)
def test_a_question_may_end_in_a_question_mark(room, line):
    """IPython's help syntax does not swallow questions."""
    room.run(line)

    assert room.asked == ["is it so?"]


def test_help_syntax_and_strings_stay_as_they_are(room, capsys):
    """Only a question to osaurus is taken out of IPython's hands."""
    room.run('text = """\n%osaurus ask why?\n"""')
    room.run("print?")

    assert room.shell.user_ns["text"] == "\n%osaurus ask why?\n"
    assert room.asked == []
    assert "Prints the values" in capsys.readouterr().out


@pytest.mark.parametrize(
    "prompt",
    [
        "{'a': 1}",
        "{",
        "}}",
        '{"a": {"b": 1}}',
        r"\frac{{a}}{b} and x^{{2}}",
        "f'{x}' {}",
        "${x} $x $HOME",
        "{% if x %}",
    ],
)
def test_ordinary_braces_are_sent_as_they_are(room, prompt):
    """Dicts, JSON, LaTeX, format strings and shell variables are no interpolation."""
    room.run(f"%%osaurus\n{prompt}")

    assert room.asked == [prompt]


def test_values_are_put_into_the_prompt(room):
    """`{{expression}}` and $`name` are evaluated in the notebook's namespace, in the system prompt too."""
    room.run("import math\nname = 'Ada'\ntable = {'k': [1, 2]}")

    room.run("%%osaurus -s 'You are {{name}}.'\n{{name.upper()}} has {{table['k'][1] + 1}}: $`math.pi`")

    assert room.asked == ["ADA has 3: 3.141592653589793"]
    assert room.adapter.requests[0].messages[0].text == "You are Ada."


def test_an_unknown_name_is_told_and_nothing_is_sent(room, capsys):
    """The message names what is missing; the model hears nothing."""
    result = room.run("%%osaurus\nTell me of {{nobody}}.")

    assert not result.success
    assert "'nobody', which is not defined. Nothing was sent." in capsys.readouterr().err
    assert room.asked == []


def test_a_fault_in_an_expression_is_the_users_own(room):
    """It is raised as it is, and nothing is sent."""
    result = room.run("%%osaurus\n{{len(5)}}")

    assert isinstance(result.error_in_exec, TypeError)
    assert room.asked == []


@pytest.mark.parametrize(
    "line",
    [
        "--key sk-proj-abcdefghijklmnop",
        "--api-key=whatever",
        "-m echo sk-ant-REDACTED",
        "-s 'Bearer abcdefghijkl'",
        "-s AIzaSyA1234567890abcdefghijk",
    ],
)
def test_keys_are_refused_without_repeating_them(room, capsys, line):
    """A key on a magic line would stay in the notebook; the advice does not show it again."""
    result = room.run(f"%%osaurus {line}\nhi")

    told = capsys.readouterr().err
    assert not result.success
    assert "--key-env VARIABLE" in told
    assert line.split()[-1].strip("'") not in told
    assert room.asked == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%osaurus hlp", "Did you mean 'help'?"),
        ("%osaurus what is this", "To ask a model: %osaurus ask"),
        ("%osaurus ask", "There is no question."),
        ("%%osaurus\n\n", "There is no question."),
        ("%%osaurus --nope 1\nhi", "--nope"),
        ("%%osaurus -t warm\nhi", "warm"),
        ("%%osaurus -s 'open\nhi", "A quote is not closed"),
        ("%%osaurus -> 1x\nhi", "'1x' cannot name a variable"),
        ("%osaurus chat maybe", "on, off or reset"),
    ],
)
def test_a_wrong_line_is_told_and_fails_the_cell(room, capsys, line, told):
    """One sentence, no traceback, nothing sent."""
    result = room.run(line)

    captured = capsys.readouterr()
    assert not result.success
    assert told in captured.err
    assert "Traceback" not in captured.out + captured.err
    assert room.asked == []


def test_an_unknown_model_is_one_line_with_near_matches(room, capsys):
    """The cell fails with the real error, which says what may have been meant."""
    result = room.run("%%osaurus -m scripted-echo\nhi")

    told = capsys.readouterr().out.strip()
    assert isinstance(result.error_in_exec, ModelNotFound)
    assert told.startswith("ModelNotFound: There is no model 'scripted-echo'. Did you mean 'scripted/echo'")
    assert "\n" not in told


@pytest.mark.parametrize(
    "scripts", [{"echo": [[TextDelta("half "), Unavailable("It fell over.", provider="scripted")]]}]
)
def test_a_broken_answer_keeps_what_came(room, capsys):
    """The partial text stays on the screen and in the variable; the error says what happened."""
    result = room.run("%%osaurus -> kept\nhi")

    assert isinstance(result.error_in_exec, StreamCut)
    assert room.shell.user_ns["kept"].text == "half "
    assert "half" in room.shown[-1]["data"]["text/html"]
    assert "broke off here" in room.shown[-1]["data"]["text/html"]
    assert "It fell over." in capsys.readouterr().out


@pytest.mark.parametrize("scripts", [{"echo": [[Unavailable("Down.", provider="scripted")]], "other": [says("Here.")]}])
def test_a_substitute_is_named(room):
    """When a fallback answers, the output says so."""
    room.run("%%osaurus --fallback other\nhi")

    assert (
        "&#x27;scripted/other&#x27; answers instead of &#x27;scripted/echo&#x27;" in room.shown[-1]["data"]["text/html"]
    )


@pytest.mark.parametrize("scripts", [{"echo": [[ReasoningDelta("hm"), TextDelta("Yes."), Finished("stop")]]}])
def test_thinking_is_said_and_not_shown(room):
    """While the model only reasons, the status says so."""
    room.run("%%osaurus\nhi")

    assert any("thinking" in frame["data"]["text/html"] for frame in room.shown)
    assert not any("hm" in frame["data"]["text/plain"] for frame in room.shown)


def test_cells_stand_alone_until_they_chat(room):
    """One-shot is the default; chat, --chat and --new make turns of one conversation."""
    room.run("%osaurus ask one")
    room.run("%%osaurus --chat\ntwo")
    room.run("%osaurus chat on")
    room.run("%osaurus ask three")
    room.run("%osaurus chat off")
    room.run("%osaurus ask four")
    room.run("%%osaurus --new\nfive")

    assert [len(request.messages) for request in room.adapter.requests] == [1, 1, 3, 1, 1]


def test_reset_forgets_the_turns(room):
    """After a reset the next turn is the first."""
    room.run("%osaurus chat on")
    room.run("%osaurus ask one")
    room.run("%osaurus chat reset")
    room.run("%osaurus ask two")

    assert len(room.adapter.requests[-1].messages) == 1


def test_an_async_client_serves_the_magics_too(room):
    """`use` takes either client."""
    adapter = ScriptedAdapter({"third": [says("I am third.")]})
    notebook.use(AsyncClient(backend=Runtime([adapter]), model="third"), shell=room.shell)

    room.run("%osaurus ask hi")

    assert room.shell.user_ns["_"].text == "I am third."


def test_the_prompt_stays_out_of_logs(room, caplog):
    """Beyond IPython's own history of the cell, the words of a prompt are written nowhere."""
    caplog.set_level(logging.DEBUG)

    room.run("secret = 'canary-4711'")
    room.run("%%osaurus\nKeep {{secret}} to yourself.")
    room.run("%%osaurus -m nope\nKeep {{secret}} to yourself.")

    assert "Keep canary-4711 to yourself." in room.asked
    assert "canary-4711" not in caplog.text
    assert "canary-4711" not in repr(room.shell.user_ns["_"])
    inputs = [row[2] for row in room.shell.history_manager.get_range(raw=True)]
    assert [source for source in inputs if "canary-4711" in source] == ["secret = 'canary-4711'"]
