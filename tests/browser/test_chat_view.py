"""The chat widget's own code in a bare page, without JupyterLab: Markdown, safety, clean-up, narrow and dark."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import osaurus_nb_widgets

pytestmark = pytest.mark.browser

STATIC = Path(osaurus_nb_widgets.__file__).parent / "static"
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
AXE = "axe-core@4.10.3"
LOAD = """async ([code, style]) => {
  const module = await import(code);
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  window.html = (text) => {
    const root = document.createElement("div");
    new module.Markdown(root).update(text);
    return root.innerHTML;
  };
  window.seconds = (text) => {
    const began = performance.now();
    window.html(text);
    return (performance.now() - began) / 1000;
  };
  window.streamed = (text) => {
    const root = document.createElement("div");
    const markdown = new module.Markdown(root);
    for (let end = 1; end <= text.length; end += 1) markdown.update(text.slice(0, end));
    return root.innerHTML;
  };
  window.show = (state) => {
    const listeners = {};
    const el = Object.assign(document.createElement("div"), { style: "height: 560px" });
    const model = {
      sent: [],
      listeners,
      get: (name) => state[name],
      send: (content) => { model.sent.push(content); },
      on: (name, callback) => (listeners[name] ||= []).push(callback),
      off: (name, callback) => { listeners[name] = listeners[name].filter((other) => other !== callback); },
      tell: (content) => listeners["msg:custom"].forEach((callback) => callback(content)),
    };
    document.body.append(el);
    Object.assign(window, { model, el, leave: module.default.render({ model, el }) });
  };
}"""


@pytest.fixture
def bare(page: Page) -> Page:
    """A page that has the widget's code and style, and nothing else."""
    page.goto("about:blank")
    code = b64encode((STATIC / "chat.js").read_bytes()).decode()
    page.evaluate(LOAD, [f"data:text/javascript;base64,{code}", (STATIC / "chat.css").read_text()])
    return page


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker, fetched for this run only; it is no part of the project."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    fetched = subprocess.run(
        [npm, "pack", AXE, "--ignore-scripts", "--silent"], cwd=folder, timeout=60, capture_output=True
    )
    if fetched.returncode:
        pytest.skip("axe-core cannot be fetched here")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder)
    return (folder / "package" / "axe.min.js").read_text()


def violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("() => axe.run('.osr-chat')")["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def answer(text: str, **about: Any) -> dict[str, Any]:
    return {"id": 2, "role": "assistant", "text": text, "reasoning": "", "footer": "", "notices": [], **about}


MARKDOWN = {
    "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
    "- a\n- b\n  - c\n- d": "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>",
    "1. one\n\n   more\n\n2. two\n": "<ol><li>one<p>more</p></li><li>two</li></ol>",
    "3. c\n4. d": '<ol start="3"><li>c</li><li>d</li></ol>',
    "# Top\n## Next": '<h3 class="osr-h1">Top</h3><h4 class="osr-h2">Next</h4>',
    "**bold** *it* ***both*** __b__ _i_ ~~no~~": "<p><strong>bold</strong> <em>it</em> <strong><em>both</em></strong> "
    "<strong>b</strong> <em>i</em> <del>no</del></p>",
    "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
    "`a` ``b ` c`` `open": "<p><code>a</code> <code>b ` c</code> `open</p>",
    "> a\n>> b\n\nend": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>end</p>",
    "a\n\n---\nb": "<p>a</p><hr><p>b</p>",
    "\\*not\\* &lt;b&gt;": "<p>*not* &lt;b&gt;</p>",
    "<b>x</b>": "<p>&lt;b&gt;x&lt;/b&gt;</p>",
    "[r](/files/x) [j](javascript:x)": "<p>[r](/files/x) [j](javascript:x)</p>",
    "- [x] done": '<ul><li><span class="osr-task">☑ </span>done</li></ul>',
}


@pytest.mark.parametrize(("source", "html"), MARKDOWN.items())
def test_markdown_becomes_nodes(bare, source, html):
    """Each construct that models write is shown as it is meant, and anything else as the text that it is."""
    assert bare.evaluate("(text) => html(text)", source) == html


LONG = """Some *text* with `code`.

1. one

   ```py
   x = 1

   y = 2
   ```
2. two

| a | b |
|---|--:|
| 1 | `x|y` |

> quote
lazy

```
open fence
"""


@pytest.mark.parametrize("source", [LONG, *MARKDOWN])
def test_an_answer_that_grows_ends_as_if_it_came_at_once(bare, source):
    """However the pieces are cut, the page ends up the same."""
    assert bare.evaluate("(text) => streamed(text)", source) == bare.evaluate("(text) => html(text)", source)


def test_links_say_where_they_lead_and_images_are_not_loaded(bare):
    """Only absolute web and mail addresses are links; they open apart and tell nothing of this page."""
    source = "[a](https://x.org) https://y.org/a_(b). <mailto:a@b.c> ![cat](https://z.org/cat.png)"

    bare.evaluate("(text) => { document.body.innerHTML = html(text) }", source)

    links = bare.locator("a")
    assert [link.get_attribute("href") for link in links.all()] == [
        "https://x.org/",
        "https://y.org/a_(b)",
        "mailto:a@b.c",
        "https://z.org/cat.png",
    ]
    assert {link.get_attribute("rel") for link in links.all()} == {"noopener noreferrer"}
    assert links.last.inner_text() == "Image: cat"
    assert bare.locator("img").count() == 0


HOSTILE = [
    "<script>window.__xss = 1</script>",
    "<img src=https://evil.test/x onerror=window.__xss=1>",
    "<svg onload=window.__xss=1>",
    "<iframe srcdoc='<script>parent.__xss=1</script>'></iframe>",
    "<a href=javascript:window.__xss=1>x</a>",
    "javascript:window.__xss=1",
    "JaVaScRiPt:window.__xss=1",
    "java\nscript:window.__xss=1",
    "data:text/html,<script>parent.__xss=1</script>",
    "vbscript:x",
    'https://x.org" onmouseover="window.__xss=1',
    "&lt;script&gt;window.__xss=1&lt;/script&gt;",
    "\u0000<script>window.__xss=1</script>",
    "</code></pre><script>window.__xss=1</script>",
    "<style>@import 'https://evil.test/x.css'</style>",
    "<link rel=stylesheet href=https://evil.test/x.css>",
]
PLACES = [
    "{}",
    "[label]({})",
    "[{}](https://x.org)",
    "![{}](https://evil.test/y.png)",
    "![alt]({})",
    "<{}>",
    "`{}`",
    "```\n{}\n```",
    "```{}\ncode\n```",
    "| {} |\n|---|\n| {} |",
    "- {}",
    "> {}",
    "# {}",
    "**{}**",
]


def test_nothing_that_an_answer_holds_can_run_or_load(bare):
    """Over two hundred hostile answers, in every field that is shown: no script runs, no request leaves."""
    requests: list[str] = []
    bare.on("request", lambda request: requests.append(request.url))
    payloads = [place.replace("{}", text) for place, text in itertools.product(PLACES, HOSTILE)]

    for start in range(0, len(payloads), 32):
        messages = []
        for id, text in enumerate(payloads[start : start + 32]):
            notice = {"text": text, "level": "error"}
            messages.append({"id": f"q{id}", "role": "user", "text": text})
            messages.append(
                answer(
                    text,
                    id=f"a{id}",
                    reasoning=text,
                    footer=text,
                    notices=[notice],
                    superseded=id == 3,
                    behind=[{"title": text, "text": text}],
                )
            )
        bare.evaluate("(messages) => show({ messages, selected_model: messages[0].text })", messages)
        option = {"name": payloads[start], "label": payloads[start], "where": payloads[start], "context": ""}
        groups = [{"label": payloads[start], "reason": payloads[start], "models": [option]}]
        bare.evaluate("(groups) => model.tell({ kind: 'models', groups, reason: groups[0].label })", groups)
        bare.get_by_role("combobox").focus()
        bare.keyboard.press("ArrowDown")
        bare.mouse.move(200, 200)
        bare.wait_for_timeout(20)
        tags = bare.evaluate("() => [...new Set([...el.querySelectorAll('*')].map((node) => node.localName))]")
        bare.evaluate("() => { leave(); el.remove() }")
        assert {"script", "img", "iframe", "style", "link", "object", "embed", "form"}.isdisjoint(tags)

    assert len(payloads) > 200
    assert bare.evaluate("() => window.__xss") is None
    assert requests == []


def test_a_hostile_text_takes_no_more_than_its_time(bare):
    """Fifty thousand characters of nothing but marks are shown without a hang."""
    sources = ["*" * 50_000, "[" * 50_000, "`a``b```" * 6_000, "_a " * 16_000, ">" * 50_000, "**a *b `c [d](e " * 3_000]

    slowest = bare.evaluate("(sources) => Math.max(...sources.map(seconds))", sources)

    assert slowest < 3


def test_leaving_takes_every_listener_along(bare):
    """A view that is taken off the page hears nothing more and leaves nothing behind."""
    bare.evaluate("() => show({ messages: [], selected_model: 'm' })")

    bare.evaluate("() => leave()")

    assert bare.evaluate("() => Object.values(model.listeners).flat().length") == 0
    assert bare.evaluate("() => el.childElementCount") == 0


def test_a_kernel_that_is_gone_is_told_and_the_question_comes_back(bare):
    """A message into the void is noticed: the user learns what to do and loses no word."""
    bare.clock.install()
    bare.evaluate("() => show({ messages: [], selected_model: 'm' })")
    box = bare.get_by_role("textbox", name="Message")
    box.fill("Anyone there?")
    box.press("Enter")

    expect(bare.locator(".osr-question")).to_have_text("Anyone there?")
    bare.clock.run_for(5000)

    sent = bare.evaluate("() => model.sent.filter(({ kind }) => kind === 'ask').map(({ id }) => id)")
    assert (len(sent), len(set(sent))) == (4, 1)  # tried again, as the same request
    expect(bare.get_by_role("alert")).to_contain_text("run this cell again")
    expect(box).to_have_value("Anyone there?")
    expect(bare.locator(".osr-question")).to_have_count(0)


def test_a_kernel_that_hears_late_still_answers(bare):
    """Where callbacks wait for a running cell, the question is asked after it, once, and the notice goes."""
    bare.clock.install()
    bare.evaluate("() => show({ messages: [], selected_model: 'm' })")
    box = bare.get_by_role("textbox", name="Message")
    box.fill("Anyone there?")
    box.press("Enter")
    bare.clock.run_for(5000)

    tail = [{"id": 1, "role": "user", "text": "Anyone there?"}, answer("", writing=True)]
    bare.evaluate("() => model.tell({ kind: 'heard', id: model.sent.at(-1).id })")
    bare.evaluate("(tail) => model.tell({ kind: 'turn', keep: 0, tail })", tail)

    expect(bare.get_by_role("alert")).to_have_count(0)
    expect(box).to_have_value("")
    expect(bare.locator(".osr-question")).to_have_count(1)


def test_enter_during_composition_does_not_send(bare):
    """Whoever writes Japanese confirms a word with Enter; that is not yet the end of the question."""
    bare.evaluate("() => show({ messages: [], selected_model: 'm' })")
    bare.get_by_role("textbox", name="Message").fill("にほん")

    enter = "new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true })"
    bare.evaluate(f"() => el.querySelector('textarea').dispatchEvent({enter})")

    assert "ask" not in [content["kind"] for content in bare.evaluate("() => model.sent")]


TOUR = """Here is a **short** tour with `inline code`, and a link to [the docs](https://example.org).

## Steps

1. Read the list
   - a nested point
2. Write the code

```python
def reverse(text: str) -> str:
    return text[::-1]  # a long comment that does not fit into a narrow column
```

| Model | Size | Speed |
|:--|--:|--:|
| smollm2 | 135M | 210 tokens/s |

> A quote.
"""
FULL = [
    {"id": 1, "role": "user", "text": "Give me a tour"},
    answer("An older try.", id=9, superseded=True, footer="local: tiny · 3 → 4 tokens · 0.1 s"),
    answer(
        TOUR,
        reasoning="The user wants a tour.",
        footer="local: smollm2-135m-instruct · 12 → 60 tokens · 0.3 s · 193 tokens/s",
        notices=[{"text": "seed is not known to this provider and was left out.", "level": "warning"}],
    ),
    {"id": 3, "role": "user", "text": "And now?"},
    answer("", id=4, failed=True, notices=[{"text": "The provider cannot be reached.", "level": "error"}]),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 760])
def test_it_fits_and_reads_well_without_a_theme(bare, axe, scheme, width):
    """From 320 px on, in the system's light and dark colours, picker open or closed: no accessibility violation."""
    bare.emulate_media(color_scheme=scheme)
    bare.set_viewport_size({"width": width, "height": 600})
    bare.evaluate("() => { document.documentElement.style.colorScheme = 'light dark'; document.body.style.margin = 0 }")
    bare.evaluate("(messages) => show({ messages, selected_model: 'smollm2-135m-instruct' })", FULL)

    closed = violations(bare, axe)
    parts = bare.locator(".osr-chat, .osr-log, .osr-head")
    too_wide = parts.evaluate_all("(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth).length")
    ARTIFACTS.mkdir(exist_ok=True)
    bare.screenshot(path=ARTIFACTS / f"chat-{width}-{scheme}.png")
    option = {"name": "smollm2-135m-instruct", "label": "smollm2-135m-instruct", "where": "", "context": "8K context"}
    groups = [
        {"label": "On this machine", "reason": "", "models": [option]},
        {"label": "openai", "reason": "No key.", "models": []},
    ]
    bare.get_by_role("combobox").focus()
    bare.keyboard.press("ArrowDown")
    bare.evaluate("(groups) => model.tell({ kind: 'models', groups, reason: '' })", groups)
    opened = violations(bare, axe)

    assert closed == []
    assert opened == []
    assert too_wide == 0


NOTHING = answer(
    "",
    reasoning="They want a proof. First I restate the problem.",
    footer="openrouter: gpt-5 · 12 → 500 tokens · $0.0120 · 9.8 s",
    notices=[
        {
            "text": "The model returned no visible text: reasoning used up the token limit; raise max_tokens. "
            "It cost $0.0120 for 512 tokens.",
            "level": "warning",
        }
    ],
    empty="reasoning",
)
PROOF = [{"id": 1, "role": "user", "text": "Prove it."}, NOTHING]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_answer_without_a_word_says_why_and_can_be_asked_again(bare, scheme):
    """Why and what it cost stand below the folded reasoning, with one Retry that the keyboard reaches."""
    bare.emulate_media(color_scheme=scheme)
    bare.evaluate("() => { document.documentElement.style.colorScheme = 'light dark' }")
    bare.evaluate("(messages) => show({ messages, selected_model: 'gpt-5' })", PROOF)
    expect(bare.get_by_text("First I restate")).to_be_hidden()
    expect(bare.locator(".osr-notice")).to_contain_text("reasoning used up the token limit")
    expect(bare.locator(".osr-notice")).to_contain_text("It cost $0.0120")
    ARTIFACTS.mkdir(exist_ok=True)
    bare.screenshot(path=ARTIFACTS / f"chat-nothing-{scheme}.png")

    bare.locator(".osr-reasoning summary").focus()
    bare.keyboard.press("Tab")
    expect(bare.get_by_role("button", name="Retry", exact=True)).to_be_focused()
    bare.keyboard.press("Enter")

    sent = bare.evaluate("() => model.sent.map(({ kind }) => kind)")
    assert sent.count("retry") == 1
    expect(bare.get_by_role("button", name="Copy answer")).to_have_count(0)
    expect(bare.get_by_role("textbox", name="Message")).to_be_focused()


def test_what_a_panel_said_is_folded_under_the_answer(bare):
    """One title for each; its text is rendered, and shown when it is opened."""
    behind = [{"title": "lab/one · answered · 67% agreement · $0.0012", "text": "It is **quite** high."}]
    messages = [{"id": 1, "role": "user", "text": "How high?"}, answer("The verdict.", id=2, behind=behind)]
    bare.evaluate("(messages) => show({ messages, selected_model: 'm' })", messages)

    said = bare.locator(".osr-behind strong")
    expect(said).to_be_hidden()
    bare.get_by_text("67% agreement").click()

    expect(said).to_have_text("quite")
    expect(said).to_be_visible()


def test_the_notice_of_an_empty_answer_outlives_what_is_drawn_anew(bare):
    """A saved notebook shows it too; asked again, the empty answer is folded with its cost, and asks no more."""
    bare.evaluate("(messages) => { window.state = { messages, selected_model: 'm' }; show(state); }", PROOF)
    bare.evaluate("() => { leave(); el.remove(); show(state); }")
    expect(bare.locator(".osr-notice")).to_contain_text("no visible text")

    asked_again = [PROOF[0], {**NOTHING, "superseded": True}, answer("Here it is.", id=3)]
    bare.evaluate("(messages) => { state.messages = messages; model.listeners['change:messages'][0](); }", asked_again)

    expect(bare.get_by_text("Earlier answer without text · openrouter: gpt-5")).to_be_visible()
    expect(bare.locator(".osr-notice")).to_be_hidden()
    bare.get_by_text("Earlier answer without text").click()
    expect(bare.locator(".osr-notice")).to_be_visible()
    expect(bare.get_by_role("button", name="Retry")).to_have_count(1)  # the new answer's
