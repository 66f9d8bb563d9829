"""Bodies are read strictly: what two parsers could read differently is refused, by its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.errors import RequestError
from osaurus_nb.wire import openai_chat as chat
from osaurus_nb.wire._json import MAX_CHECKED, MAX_DEPTH, parse

SECRET = "s3cr3t"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, st.booleans(), st.sampled_from([None, 2]))
def test_all_json_is_read_as_it_is(value: object, ascii_only: bool, indent: int | None) -> None:
    """Any JSON that a parser of the standard library writes is read, and says the same."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert parse(body) == value


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"model":"a","model":"%s"}', "model"),
        (b'{"model":"a", "mod\\u0065l" : "%s"}', "model"),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"%s"}]}]}', "text"),
    ],
)
def test_a_key_that_stands_twice_is_named(body: bytes, key: str) -> None:
    """Which of two values counts is a guess, so that neither does; the error names the key alone."""
    with pytest.raises(RequestError, match=f"'{key}' stands twice") as caught:
        chat.decode_request(body % SECRET.encode())

    assert caught.value.param == key
    assert SECRET not in caught.value.message


def test_an_odd_key_is_not_repeated() -> None:
    """A key is anybody's text too: one that is no plain word is not shown."""
    key = json.dumps(f"<{SECRET}>")

    with pytest.raises(RequestError, match="'…' stands twice"):
        parse(f"{{{key}:1,{key}:2}}".encode())


def test_a_large_body_is_read_once_only() -> None:
    """Beyond a size the second look costs more than it finds: there the last of two values counts."""
    body = json.dumps({"text": "x" * MAX_CHECKED})[:-1] + ',"text":"last"}'

    assert parse(body.encode()) == {"text": "last"}


@pytest.mark.parametrize("number", ["1e999", "-1e400", "9" * 400 + ".0"])
def test_a_number_beyond_all_floats_is_refused(number: str) -> None:
    """Read as infinity it could not be written again."""
    with pytest.raises(RequestError, match="number"):
        parse(f'{{"a":[{number}]}}'.encode())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_are_no_json_are_refused_by_their_place(word: str) -> None:
    """Some parsers take them; JSON does not."""
    with pytest.raises(RequestError, match="line 1 column") as caught:
        parse(f'{{"{SECRET}":{word}}}'.encode())

    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [b'{"a":"\xff\xfe"}', b'{"a":"\\ud800"}', b'{"a":"\\udc00x"}', b'{"a":"\x01"}', '{"a":1}'.encode("utf-16")],
)
def test_text_that_is_no_text_is_refused(body: bytes) -> None:
    """Bytes that are not UTF-8 and halves of characters go no further."""
    with pytest.raises(RequestError, match="not valid JSON"):
        parse(body)


def test_the_depth_that_is_too_deep_is_named() -> None:
    """What is nested without end is refused by the limit, before it can cost anything."""
    with pytest.raises(RequestError, match=f"deeper than {MAX_DEPTH} levels"):
        parse(b'{"a":' * 100_000)


def test_the_body_that_was_wanted_is_told() -> None:
    """Who sends no JSON learns what to send."""
    with pytest.raises(RequestError, match="Send a JSON object with 'model' and 'messages'"):
        chat.decode_request(b"model=x")
