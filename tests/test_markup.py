"""An answer as rich output: safe whatever it says, and good to read."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb import _markup
from osaurus_nb._markup import Document

PAYLOADS = (Path(__file__).parent / "data" / "xss.txt").read_text(encoding="utf-8").rstrip("\n").split("\n%%\n")
TAGS = {
    *("a", "blockquote", "br", "code", "del", "div", "em", "hr", "li", "ol", "p", "pre", "span", "strong", "ul"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"),
}
ATTRIBUTES = {"class", "href", "rel", "start", "style", "target"}
CLASSES = ("osaurus mathjax_ignore tex2jax_ignore", "mathjax_process tex2jax_process")


class Reader(HTMLParser):
    """Reads HTML as a browser would, and keeps what it holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.odd: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.odd.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.odd.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.odd.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.odd.append("instruction")

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def links(self) -> list[str | None]:
        return [value for name, value in self.attributes if name == "href"]


def read(markdown: str, **more: object) -> Reader:
    return Reader(_markup.bundle(markdown, **more)["text/html"])


def assert_safe(reader: Reader) -> None:
    """Every tag and attribute is one of ours, all are closed, and links lead to http, https or mailto."""
    assert set(reader.tags) <= TAGS
    assert reader.open == reader.odd == []
    assert {name for name, _ in reader.attributes} <= ATTRIBUTES
    for name, value in reader.attributes:
        assert value is not None
        if name == "href":
            assert value.lower().startswith(("https://", "http://", "mailto:"))
            assert value.isprintable()
            assert not set(value) & set(" \"'<>`\\")
        if name == "class":
            assert value in CLASSES or value.removeprefix("language-").replace("+", "").replace("-", "").isalnum()
        if name == "style":
            assert "url" not in value
            assert "position" not in value


def test_there_are_enough_payloads():
    """The list is long, and no payload is there twice."""
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 150


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_in_an_answer_runs_loads_or_misleads(payload):
    """As text, in a notice, in a footer and in every place of Markdown: only our own tags come out."""
    wrapped = [
        payload,
        f"before {payload} after",
        f"> {payload}",
        f"- {payload}\n  {payload}",
        f"| a | {payload} |\n|---|---|\n| {payload} | b |",
        f"# {payload}",
        f"**{payload}**",
        f"[{payload}](https://a.example/)",
        f"[a](https://a.example/{payload})",
        f"```\n{payload}",
        f"`{payload}`",
        f"${payload}$",
    ]

    for markdown in wrapped:
        assert_safe(read(markdown))
    assert_safe(read("ok", footer=payload, notices=[payload]))
    assert_safe(Reader(_markup.callout(payload, hint=payload)["text/html"]))
    assert_safe(Reader(_markup.table([payload], [[payload]])["text/html"]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"<>[]()`*_~$|!#&;:\\\"'\n \t-+=1a.", "\n\n", "```", "https://a.b", "javascript:", "<img onerror=x>"]
        ),
        max_size=60,
    ).map("".join)
)
def test_any_mixture_of_markup_stays_safe(markdown):
    """Random Markdown never yields a tag that is not ours or is left open."""
    assert_safe(read(markdown))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "a ",
                "*b*",
                "\n",
                "\n\n",
                "- c",
                "  - d",
                "1. e",
                "> f",
                "```\n",
                "| g | h |\n|---|---|\n",
                "[i]: https://a.b\n",
                "[i]",
                "===",
                "---\n",
                "$$\n",
                "    j",
            ]
        ),
        max_size=30,
    )
)
def test_a_growing_text_is_rendered_like_a_whole_one(pieces):
    """What a stream shows after each piece is what the text so far would show at once."""
    growing, text = Document(), ""

    for piece in pieces:
        text += piece
        assert growing.render(text) == Document().render(text)


def test_plain_text_is_the_answer_verbatim():
    """A path, an address or markup: text/plain is what the model said."""
    for text in ("/etc/passwd", "https://a.example/x.png", "<b>*hi*</b>\n", ""):
        assert _markup.bundle(text, footer="f", notices=["n"])["text/plain"] == text


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        (
            "*a* **b** ***c*** ~~d~~ snake_case_name",
            "<p><em>a</em> <strong>b</strong> <em><strong>c</strong></em> <del>d</del> snake_case_name</p>",
        ),
        ("2 * 3 * 4 and a*b*c", "<p>2 * 3 * 4 and a<em>b</em>c</p>"),
        ("*a _b* c_", "<p><em>a _b</em> c_</p>"),
        ("`a < b` ``x ` y``", "<p><code>a &lt; b</code> <code>x ` y</code></p>"),
        (r"\*a\* \_b\_ \`c\`", "<p>*a* _b_ `c`</p>"),
        ("a  \nb\nc<br>d", "<p>a<br>\nb\nc<br>\nd</p>"),
        ("&lt; &copy; &nosuch; AT&T", "<p>&lt; © &amp;nosuch; AT&amp;T</p>"),
        ("# A\n## B ##\nC\n===", "<h1>A</h1>\n<h2>B</h2>\n<h1>C</h1>"),
        ("a\n\n---\nb", "<p>a</p>\n<hr>\n<p>b</p>"),
        ("```py\na < b\n```", '<pre><code class="language-py">a &lt; b\n</code></pre>'),
        ("text:\n```\ncode", "<p>text:</p>\n<pre><code>code\n</code></pre>"),
        ("    code\n\n    more", "<pre><code>code\n\nmore\n</code></pre>"),
        ("- a\n- b\n  - c\n- d", "<ul>\n<li>a\n</li>\n<li>b\n<ul>\n<li>c\n</li>\n</ul>\n</li>\n<li>d\n</li>\n</ul>"),
        ("3. a\n4. b", '<ol start="3">\n<li>a\n</li>\n<li>b\n</li>\n</ol>'),
        ("- a\n\n- b", "<ul>\n<li><p>a</p>\n</li>\n<li><p>b</p>\n</li>\n</ul>"),
        ("- [x] a\n- [ ] b", "<ul>\n<li>☑ a\n</li>\n<li>☐ b\n</li>\n</ul>"),
        ("1. a\n   ```\n   x\n   ```\n2. b", "<ol>\n<li>a\n<pre><code>x\n</code></pre>\n</li>\n<li>b\n</li>\n</ol>"),
        ("> a\n> > b", "<blockquote><p>a</p>\n<blockquote><p>b</p>\n</blockquote>\n</blockquote>"),
    ],
)
def test_everyday_markdown_is_rendered(markdown, html):
    """What models write looks as they meant it."""
    assert re.sub("<pre style=[^>]*>", "<pre>", Document().render(markdown)).strip() == html


def test_tables_are_rendered():
    """Head, alignment, escaped pipes; a row of another length does no harm."""
    reader = read("| a | b |\n|---|--:|\n| 1 | `2\\|3` | x |\n| 4 |\n\nafter")

    assert (reader.tags.count("th"), reader.tags.count("td")) == (2, 3)
    assert ("style", "text-align:right") in reader.attributes
    assert "2|3" in reader.text
    assert "after" in reader.text


def test_links_lead_where_they_may():
    """http, https and mailto, inline, by reference, bare and in angle brackets; an image is a link that says so."""
    reader = read(
        "[a](https://a.example/x_(y) 'title') [b][r] [r] <https://c.example> <d@e.example> https://f.example/g. "
        "![pic](http://h.example/i.png)\n\n[r]: https://r.example 'title'"
    )

    assert reader.links == [
        "https://a.example/x_(y)",
        "https://r.example",
        "https://r.example",
        "https://c.example",
        "mailto:d@e.example",
        "https://f.example/g",
        "http://h.example/i.png",
    ]
    assert "image: pic" in reader.text
    assert "[r]:" not in reader.text
    assert {value for name, value in reader.attributes if name == "rel"} == {"noopener noreferrer nofollow"}


def test_other_links_become_text_with_their_target():
    """A relative path or a refused scheme is spelt out, not hidden and not linked."""
    reader = read("[guide](docs/guide.md) and [x](javascript:alert(1))")

    assert reader.links == []
    assert "guide (docs/guide.md) and x (javascript:alert(1))" in reader.text


def test_math_is_left_to_the_front_end():
    """Only what is marked as math is typeset; prices are not math, and TeX that makes links is shown as code."""
    html = Document().render(
        "$x^2$ costs $5 or $10, \\(a_1*b*c\\), $\\href{https://a.example}{x}$\n\n$$\n- x\n= y\n$$\n"
    )

    assert html.count('class="mathjax_process tex2jax_process"') == 3
    assert "costs $5 or $10" in html
    assert "\\(a_1*b*c\\)" in html
    assert "<code>$\\href{https://a.example}{x}$</code>" in html
    assert "$$\n- x\n= y\n$$</div>" in html


def test_notices_and_footer_stand_below():
    """Each notice is a box; a footer without a model loses its loose separator."""
    html = _markup.bundle("answer", footer=" · 0.1 s · stopped", notices=["One.", "Two."])["text/html"]

    assert html.index("answer") < html.index("One.") < html.index("Two.") < html.index(">0.1 s · stopped<")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "*a _b " * 10_000,
        "$" * 50_000,
        "`a``b" * 10_000,
        "> " * 20_000,
        "- " * 20_000,
        "\\(" * 20_000,
        '[a](b "' * 10_000,
        "<" * 50_000,
        "![[" * 20_000,
        "a|b\n-|-\n" * 5_000,
        "```\n" * 10_001,
        "$$\n" * 10_001,
        "[x](" + "(" * 20_000,
        "|" * 10_000 + "\n" + "|-" * 10_000,
        "\\begin{a}\n" * 9_000,
        "https://a" + ")" * 50_000,
    ],
    ids=lambda text: repr(text[:6]),
)
def test_hostile_text_takes_no_long_time(text):
    """No text makes the kernel stand still."""
    began = time.monotonic()

    _markup.bundle(text)

    assert time.monotonic() - began < 3


def test_a_very_long_text_is_shown_as_it_is():
    """Beyond a million characters nothing is rendered, only escaped."""
    html = Document().render("<b>" * 400_000)

    assert html.startswith("<pre>&lt;b&gt;")


def test_a_terminal_gets_no_control_characters():
    """Tabs, line ends and every letter stay."""
    assert _markup.printable("\x1b[1mé\t\x9b1m\n\x00😀") == "[1mé\t1m\n😀"
