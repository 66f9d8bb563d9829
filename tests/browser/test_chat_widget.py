"""The chat widget in JupyterLab, with a model that says what it is told to."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from playwright.sync_api import Page, expect

from tests.browser.harness import OpenNotebook

pytestmark = pytest.mark.browser

SETUP = """
import time

import osaurus_nb as osaurus
from osaurus_nb.events import Finished, PartEnded, ReasoningDelta, TextDelta, UsageReported
from osaurus_nb.errors import Unreachable
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says


class Local(ScriptedAdapter):
    async def models(self):
        return [ModelCard(name, "local", endpoint="process", context_length=8192) for name in self._scripts]


class Down(ScriptedAdapter):
    async def models(self):
        raise Unreachable("'openai' cannot be reached. Check the network.", provider="openai")


def typed(text, pause=0.005):
    pieces = [text[at : at + 6] for at in range(0, len(text), 6)]
    deltas = [item for piece in pieces for item in (TextDelta(piece, index=1), pause)]
    end = [PartEnded(1), UsageReported(Usage(12, len(pieces))), Finished("stop")]
    return [ReasoningDelta("They want a tour. I keep it short."), PartEnded(0), *deltas, *end]


def chat_with(*scripts):
    local = Local({"smollm2-135m-instruct": scripts, "llama-3.1-8b": [says("I am ", "llama.")]}, provider="local")
    remote = ScriptedAdapter({"gpt-5": [says("I am remote.")]}, provider="openrouter")
    backend = Runtime([local, remote, Down({}, provider="openai")])
    return osaurus.ui.chat(osaurus.Client(backend=backend))
"""
TOUR = """Here is a **short** tour with `inline code`.

## Steps

1. Read the list
   - a nested point
2. Write the code

```python
def reverse(text: str) -> str:
    return text[::-1]
```

| Model | Size | Speed |
|:--|--:|--:|
| smollm2 | 135M | 210 tokens/s |
| llama | 8B | 31 tokens/s |
"""
HOSTILE = """<img src=x onerror="window.__xss=1"><script>window.__xss=1</script>

[click](javascript:window.__xss=1) ![i](https://evil.invalid/i.png) [file](/files/secret?_xsrf=1)

```html
<script>window.__xss=1</script>
```
"""
LONG_CELL = "print('the cell ' + 'began', flush=True); time.sleep(8); print('the cell ' + 'ended')"
SINCE_CLICK = """() => new Promise((done) => {
  const log = document.querySelector('.osr-log');
  const began = performance.now();
  const look = () => log.ariaBusy === 'false' && done(performance.now() - began);
  new MutationObserver(look).observe(log, { attributes: true });
  document.querySelector('.osr-go').click();
})"""


@pytest.fixture(scope="module")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty here: the models of these notebooks follow a script."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def start(open_notebook, tmp_path, page: Page):
    """Opens a notebook whose first cell shows a chat; further cells are there to be run."""

    def start(name: str, show: str, *cells: str) -> OpenNotebook:
        sources = [f"{SETUP}\n{show}", *cells]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        code = [v4.new_code_cell(source, metadata={"jupyter": {"source_hidden": True}}) for source in sources]
        nbformat.write(v4.new_notebook(cells=code, metadata=kernel), tmp_path / f"{name}.ipynb")
        notebook = open_notebook(tmp_path / f"{name}.ipynb")
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:move-cursor-up')")
        notebook.command("notebook:run-cell")
        page.wait_for_selector(".osr-chat")
        return notebook

    return start


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="Message").click()
    page.keyboard.type(question)
    page.keyboard.press("Enter")


def run_second_cell(page: Page) -> None:
    """Start it without waiting for its end; the first cell, which holds the chat, is the active one."""
    page.evaluate(
        """async () => {
          const { commands, shell } = window.jupyterapp;
          shell.currentWidget.content.activeCellIndex = 1;
          commands.execute("notebook:run-cell");
        }"""
    )


def done(page: Page) -> None:
    page.wait_for_selector(".osr-log[aria-busy=false] .osr-assistant:last-child .osr-footer :first-child")


def test_a_chat_by_keyboard_alone(start, page):
    """Type, Enter, a streamed answer; the picker by arrows and letters; every control has a role and a name."""
    notebook = start("keyboard", f"chat_with(typed({TOUR!r}, 0.02))")
    page.get_by_role("textbox", name="Message").focus()

    page.keyboard.type("Give me")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("a tour")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.wait_for_selector(".osr-markdown strong")  # while the rest is still on its way
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "true")
    done(page)

    expect(page.locator(".osr-question")).to_have_text("Give me\na tour", use_inner_text=True)
    expect(page.locator(".osr-markdown table td").first).to_have_text("smollm2")
    expect(page.locator(".osr-chip")).to_contain_text("local: smollm2-135m-instruct · 12 → ")
    expect(page.get_by_text("They want a tour")).to_be_hidden()

    page.get_by_role("combobox", name="Model").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").filter(has_text="smollm2")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("group", name="openai")).to_contain_text("cannot be reached")
    page.keyboard.type("llam")
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("llama-3.1-8b")
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    page.keyboard.type("Who are you?")
    page.keyboard.press("Enter")
    expect(page.locator(".osr-markdown").last).to_have_text("I am llama.")
    assert len(notebook.cells()) == 1
    assert notebook.complaints == []


def test_keys_do_not_leak_into_the_notebook(start, page):
    """No key that is pressed inside the widget deletes, moves or runs a cell; saving still works from it."""
    notebook = start("keys", "chat_with(says('Hello.'))", "'second'")
    ask(page, "dd")
    done(page)

    for target in (page.get_by_role("button", name="Copy answer"), page.get_by_role("log")):
        target.focus()
        for key in ("d", "d", "ArrowDown", "b", "x", "Shift+Enter", "Enter", "Escape"):
            page.keyboard.press(key)
    page.get_by_role("textbox", name="Message").focus()
    page.keyboard.press("Control+s")

    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert [cell["execution_count"] for cell in notebook.cells()] == [1, None]


def test_stop_works_while_a_cell_is_busy(start, page):
    """The answer ends at once, though the kernel is in the middle of a cell."""
    notebook = start("stop", "chat_with(typed('word ' * 4000, 0.01))", LONG_CELL)
    ask(page, "Talk")
    page.wait_for_selector(".osr-markdown p")
    run_second_cell(page)
    expect(page.get_by_text("the cell began")).to_be_visible()

    elapsed = page.evaluate(SINCE_CLICK)

    print(f"stopped after {elapsed:.0f} ms")
    assert elapsed < 1000
    expect(page.get_by_text("the cell ended")).to_have_count(0)
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.locator(".osr-markdown")).to_contain_text("word word")
    notebook.interrupt()


def test_what_a_cell_asked_can_be_stopped_while_that_cell_runs(start, page):
    """Whoever speaks first in a chat, the page or Python, the Stop button is heard at once."""
    notebook = start("ask", "chat = chat_with(typed('word ' * 4000, 0.01)); chat", f"chat.ask('Talk'); {LONG_CELL}")
    run_second_cell(page)
    page.wait_for_selector(".osr-markdown p")

    elapsed = page.evaluate(SINCE_CLICK)

    assert elapsed < 1000
    expect(page.get_by_text("the cell ended")).to_have_count(0)
    notebook.interrupt()


def test_a_question_is_answered_while_a_cell_is_busy(start, page):
    """A long computation does not keep anyone from chatting."""
    notebook = start("busy", "chat_with(says('At ', 'once.'))", LONG_CELL)
    run_second_cell(page)
    expect(page.get_by_text("the cell began")).to_be_visible()

    ask(page, "Busy?")
    done(page)

    expect(page.locator(".osr-markdown")).to_have_text("At once.")
    expect(page.get_by_text("the cell ended")).to_have_count(0)
    notebook.interrupt()


def test_retry_asks_again_and_keeps_the_first_answer(start, page):
    """A failure offers to try again; a second opinion leaves the first one folded above it."""
    broken = "[0.1, Unreachable('The model cannot be reached.', provider='local')]"
    start("retry", f"chat_with({broken}, says('First.'), says('Second.'))")

    ask(page, "Well?")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".osr-markdown")).to_have_text("First.")
    page.get_by_role("button", name="Retry", exact=True).click()  # the file is called so too
    expect(page.locator(".osr-markdown").last).to_have_text("Second.")

    expect(page.locator(".osr-question")).to_have_count(1)
    expect(page.locator(".osr-error")).to_have_count(0)
    expect(page.get_by_text("First.")).to_be_hidden()
    page.get_by_text("Earlier answer").click()
    expect(page.get_by_text("First.")).to_be_visible()


def test_an_answer_without_a_word_is_told_and_asked_again(start, page):
    """Thoughts that used up the limit are folded; why there is nothing else, and Retry, are not."""
    nothing = "[ReasoningDelta('I think and think.'), PartEnded(), UsageReported(Usage(9, 64)), Finished('length')]"
    notebook = start("nothing", f"chat_with({nothing}, says('Four.'))")

    ask(page, "2 + 2?")
    retry = page.get_by_role("button", name="Retry", exact=True)
    expect(retry).to_be_visible()
    expect(page.locator(".osr-notice")).to_contain_text("The model returned no visible text")
    expect(page.get_by_text("I think and think.")).to_be_hidden()
    notebook.screenshot("chat-nothing")
    retry.focus()
    page.keyboard.press("Enter")

    expect(page.locator(".osr-markdown").last).to_have_text("Four.")
    expect(page.get_by_text("Earlier answer without text")).to_be_visible()
    assert notebook.complaints == []


def test_a_new_chat_starts_from_nothing(start, page):
    """Clearing brings the examples back, and an example is one click."""
    start("clear", "chat_with(says('Hello.'))")
    ask(page, "Hi")
    done(page)

    page.get_by_role("button", name="New chat").click()
    page.get_by_role("button", name="Explain recursion in two sentences").click()
    done(page)

    expect(page.locator(".osr-question")).to_have_text("Explain recursion in two sentences")


def test_code_can_be_copied(start, page):
    """The button puts exactly the code on the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    start("copy", f"chat_with(typed({TOUR!r}, 0.0))")
    ask(page, "Code?")
    done(page)

    page.get_by_role("button", name="Copy code").click()

    expect(page.locator(".osr-chat [role=status]")).to_have_text("Copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == "def reverse(text: str) -> str:\n    return text[::-1]"


def test_a_hostile_answer_is_inert(start, page):
    """Markup in an answer is text: nothing runs, nothing is fetched, no link leads into the server."""
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    start("xss", f"chat_with(typed({HOSTILE!r}, 0.0))")

    ask(page, "<img src=https://evil.invalid/q onerror=window.__xss=1>")
    done(page)
    page.wait_for_timeout(300)

    assert page.evaluate("() => window.__xss") is None
    assert not [url for url in fetched if "evil.invalid" in url or "/files/" in url or url.endswith("/x")]
    assert page.locator(".osr-chat").locator("img, script, iframe").count() == 0
    assert {link.get_attribute("href") for link in page.locator(".osr-chat a").all()} == {"https://evil.invalid/i.png"}


def test_a_second_view_shows_the_same_chat(start, page):
    """The same chat in two cells is one chat: both follow the answer."""
    notebook = start("views", "chat = chat_with(typed('word ' * 300, 0.01)); chat", "chat")
    ask(page, "Talk")
    page.wait_for_selector(".osr-markdown p")
    run_second_cell(page)
    expect(page.locator(".osr-markdown")).to_have_count(2)

    expect(page.locator(".osr-log[aria-busy=false]")).to_have_count(2, timeout=10_000)

    assert len(set(page.locator(".osr-markdown").all_inner_texts())) == 1
    assert notebook.complaints == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_finished_in_both_themes(start, page, theme):
    """Screenshots of the empty chat, an answer and the open picker, for the eye."""
    broken = "[TextDelta('The first half'), Unreachable('The line broke.', provider='local')]"
    show = f"chat_with(typed({TOUR!r}, 0.0), {broken})"
    notebook = start(f"look-{theme.lower()}", show)
    change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    page.evaluate(change, f"JupyterLab {theme}")
    page.wait_for_function(f"() => document.body.dataset.jpThemeName === 'JupyterLab {theme}'")

    notebook.screenshot(f"chat-empty-{theme.lower()}")
    ask(page, "Give me a short tour")
    done(page)
    notebook.screenshot(f"chat-answer-{theme.lower()}")
    ask(page, "And what happens when the line breaks?")
    done(page)
    notebook.screenshot(f"chat-failure-{theme.lower()}")
    page.get_by_role("combobox", name="Model").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").filter(has_text="gpt-5")).to_be_visible()
    notebook.screenshot(f"chat-picker-{theme.lower()}")

    assert notebook.complaints == []
