"""Answers side by side on one model: each as if it were alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.errors import ContextTooLong, RequestError
from osaurus_nb.events import Answer, Event, Fold, TextDelta, Warned
from osaurus_nb.local.batch import Batch
from osaurus_nb.local.loading import Loaded, load
from osaurus_nb.local.sampling import Defaults
from osaurus_nb.messages import assistant, system, user
from osaurus_nb.request import ChatRequest, Sampling

GREEDY = Sampling(temperature=0.0, max_output_tokens=24)
WORDS = ["ping", "a longer question, about nothing in particular", "x" * 300, "Grüße, 🦕!"]


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Loaded:
    return load(tiny_model, name="tiny", context=2048, fast_blas=True)


@pytest.fixture
def batch(loaded: Loaded) -> Iterator[Batch]:
    made = Batch(loaded, slots=8, cache_bytes=64 << 20)
    yield made
    made.close()


def ask(text: str, sampling: Sampling = GREEDY, **options: object) -> ChatRequest:
    return ChatRequest("tiny", (user(text),), sampling=sampling, **options)  # type: ignore[arg-type]


def run(batch: Batch, requests: Sequence[ChatRequest], *, gap: int = 0) -> list[list[Event]]:
    """All events of each request; `gap` steps pass between one and the next."""
    streams: dict[object, list[Event]] = {}
    for key, request in enumerate(requests):
        streams[key] = list(batch.admit(key, request))
        for _ in range(gap):
            step(batch, streams)
    while batch.running:
        step(batch, streams)
    return list(streams.values())


def step(batch: Batch, streams: dict[object, list[Event]]) -> None:
    for key, events in batch.step():
        streams[key].extend(events)


def fold(events: Sequence[Event]) -> Answer:
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.answer()


def texts(batch: Batch, requests: Sequence[ChatRequest], **options: int) -> list[str]:
    return [fold(events).text for events in run(batch, requests, **options)]


def fresh(loaded: Loaded) -> Batch:
    return Batch(loaded, slots=8, cache_bytes=64 << 20)


def test_what_only_another_dialect_understands_is_told(batch: Batch):
    """Settings that mean something to one provider's servers alone change nothing here, and a warning says so."""
    [events] = run(batch, [ask("hi", provider_metadata={"ollama": {"keep_alive": "1h"}})])
    [raw] = run(batch, [ask("hi", provider_metadata={"osaurus": {"raw_prompt": True, "or_chat": True}})])

    assert [event.code for event in events if isinstance(event, Warned)] == ["opaque_state_dropped"]
    assert not any(isinstance(event, Warned) for event in raw)


@pytest.mark.parametrize("gap", [0, 1, 5])
def test_interleaved_answers_equal_lone_ones(loaded: Loaded, batch: Batch, gap: int):
    """Requests that come while others run get the answers they would get alone."""
    alone = [texts(fresh(loaded), [ask(words)])[0] for words in WORDS]

    together = texts(batch, [ask(words) for words in WORDS], gap=gap)

    assert together == alone


def test_the_cache_changes_no_answer(loaded: Loaded):
    """Every turn of a chat reads the same with the prompt cache as without, and says what it spared."""
    cached = fresh(loaded)
    chat = [system("s" * 200)]
    for turn in range(4):
        chat.append(user(f"question {turn}"))
        request = ChatRequest("tiny", tuple(chat), sampling=GREEDY)

        warm, cold = fold(run(cached, [request])[0]), fold(run(fresh(loaded), [request])[0])

        assert warm.text == cold.text
        assert warm.usage is not None
        assert cold.usage is not None
        assert warm.usage.total_input == cold.usage.input_tokens
        assert (warm.usage.cache_read_input_tokens > 200) == (turn > 0)
        chat.append(assistant(warm.text))


def test_the_very_same_prompt_again(batch: Batch):
    """An exact repetition, whose whole prompt is known, answers the same and not with nothing."""
    first, second, third = (fold(run(batch, [ask("ping")])[0]) for _ in range(3))

    assert first.text == second.text == third.text != ""
    assert second.usage is not None
    assert second.usage.input_tokens == 1


def test_one_prefix_for_two_at_once(loaded: Loaded, batch: Batch):
    """Two requests that continue the same cached chat at once do not write into each other's memory."""
    run(batch, [ask("x" * 300)])
    requests = [ask("x" * 300 + ending) for ending in ("one", "two", "three")]

    together = texts(batch, requests)

    assert together == [texts(fresh(loaded), [request])[0] for request in requests]


def test_a_cancelled_request_leaves_the_others_alone(loaded: Loaded, batch: Batch):
    """Cancelling one, in its prompt or in its answer, changes nothing for the rest."""
    alone = texts(fresh(loaded), [ask("ping")])[0]
    streams: dict[object, list[Event]] = {key: [] for key in ("kept", "reading", "speaking")}
    batch.admit("speaking", ask("hello"))
    for _ in range(4):
        step(batch, streams)
    batch.admit("kept", ask("ping"))
    batch.admit("reading", ask("y" * 1500))
    step(batch, streams)

    assert batch.cancel("speaking")
    assert batch.cancel("reading")
    assert not batch.cancel("unknown")
    while batch.running:
        step(batch, streams)

    assert fold(streams["kept"]).text == alone
    assert texts(batch, [ask("ping")]) == [alone]


def test_a_seed_gives_the_same_answer_alone_and_in_company(loaded: Loaded, batch: Batch):
    """Same seed, same answer, whatever else runs; another seed, another answer."""
    drawn = replace(GREEDY, temperature=1.0, top_p=0.95, seed=7)
    alone = texts(fresh(loaded), [ask("ping", drawn)])[0]

    together = texts(batch, [ask("other", GREEDY), ask("ping", drawn), ask("ping", replace(drawn, seed=8))])

    assert together[1] == alone
    assert together[2] != alone


def test_several_choices(batch: Batch):
    """n choices are numbered, the first equals a lone answer of the same seed, and the prompt is counted once."""
    drawn = replace(GREEDY, temperature=1.0, seed=3)
    lone = fold(run(batch, [ask("ping", drawn)])[0])

    several = fold(run(batch, [ask("ping", replace(drawn, n=3))])[0])

    assert [choice.finish_reason for choice in several.choices] == [lone.finish_reason] * 3
    assert several.text == lone.text
    assert len({choice.message.text for choice in several.choices}) == 3
    assert several.usage is not None
    assert lone.usage is not None
    assert several.usage.total_input == lone.usage.total_input


def test_a_stop_string_across_tokens(batch: Batch):
    """A stop string that begins inside one token and ends in another stops, and is not shown."""
    whole = texts(batch, [ask("ping")])[0]
    stop = whole[5:9]

    answer = fold(run(batch, [ask("ping", replace(GREEDY, stop=(stop,)))])[0])

    assert answer.text == whole[: whole.index(stop)]
    assert (answer.choices[0].finish_reason, answer.choices[0].stop_sequence) == ("stop", stop)
    assert texts(batch, [ask("ping")]) == [whole]


def test_memory_for_answers_is_not_promised_twice(loaded: Loaded):
    """A request whose answer might not fit beside those under way has to wait; a lone one never does."""
    batch = Batch(loaded, slots=8, cache_bytes=1 << 20, kv_tokens=100)
    assert batch.room_for(ask("x" * 1000))

    batch.admit("k", ask("ping"))

    assert batch.room_for(ask("ping"))
    assert not batch.room_for(ask("x" * 300))
    assert not batch.room_for(ask("ping", replace(GREEDY, max_output_tokens=None)))


def test_the_limit_of_tokens_is_kept(batch: Batch):
    """The answer has as many tokens as allowed, counted in its usage, and says that it was cut."""
    answer = fold(run(batch, [ask("ping", replace(GREEDY, max_output_tokens=5))])[0])

    assert answer.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 5


def test_a_prompt_longer_than_the_window(loaded: Loaded, batch: Batch):
    """A prompt that does not fit is refused with both sizes, before anything is read."""
    with pytest.raises(ContextTooLong, match=r"3\d\d\d tokens.*2048"):
        batch.admit("k", ask("x" * 3000))

    assert not batch.running


def test_an_answer_longer_than_the_window_is_limited(batch: Batch):
    """A limit beyond the window is cut down to what is left, with a warning."""
    (events,) = run(batch, [ask("x" * 2000, replace(GREEDY, max_output_tokens=5000))])

    assert fold(events).finish_reason == "length"
    assert any(isinstance(event, Warned) and event.param == "max_output_tokens" for event in events)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=-1.0),
        Sampling(temperature=float("nan")),
        Sampling(top_p=1.5),
        Sampling(top_k=-1),
        Sampling(n=0),
        Sampling(max_output_tokens=0),
        Sampling(logit_bias={"no": 1.0}),
        Sampling(logit_bias={"99999": 1.0}),
    ],
)
def test_settings_out_of_range_are_refused(batch: Batch, sampling: Sampling):
    """A value that makes no sense is the caller's error; the batch goes on."""
    with pytest.raises(RequestError):
        batch.admit("k", ask("x", sampling))

    assert texts(batch, [ask("ping")])


def test_half_a_character_is_refused(batch: Batch):
    """Text that is no Unicode is a request error, and its words are not in the message."""
    with pytest.raises(RequestError) as caught:
        batch.admit("k", ask("secret \ud800"))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_k=1, temperature=1.0),
        Sampling(top_p=0.0, temperature=1.0),
        Sampling(min_p=1.0, temperature=1.0),
        Sampling(top_k=10_000, temperature=0.0),
    ],
)
def test_filters_that_leave_one_token_are_greedy(loaded: Loaded, batch: Batch, sampling: Sampling):
    """The narrowest top_k, top_p and min_p pick the likeliest token."""
    greedy = texts(fresh(loaded), [ask("ping")])

    assert texts(batch, [ask("ping", replace(sampling, max_output_tokens=24))]) == greedy


def test_a_biased_token_is_always_said(batch: Batch):
    """A bias of 100 forces a token, one of -100 forbids it."""
    forced = texts(batch, [ask("ping", replace(GREEDY, logit_bias={"70": 100.0}))])[0]

    assert len(set(forced)) == 1
    assert forced[0] not in texts(batch, [ask("ping", replace(GREEDY, logit_bias={"70": -100.0, "0": -100.0}))])[0]


def test_penalties_count_what_was_generated(batch: Batch):
    """A strong frequency penalty makes tokens rarer, although the prompt is full of them."""
    plain = texts(batch, [ask("ping", replace(GREEDY, logit_bias={"70": 5.0}))])[0]

    varied = texts(batch, [ask("ping", replace(GREEDY, logit_bias={"70": 5.0}, frequency_penalty=2.0))])[0]

    assert len(set(varied)) > len(set(plain))


def test_logprobs_belong_to_their_tokens(batch: Batch):
    """Each token has its log-probability and, greedily, is the first of its rivals."""
    (events,) = run(batch, [ask("ping", replace(GREEDY, logprobs=True, top_logprobs=3))])

    told = [entry for event in events if isinstance(event, TextDelta) for entry in event.logprobs]
    assert len(told) == 24
    assert all(entry.logprob <= 0 and len(entry.top) == 3 for entry in told)
    assert all(entry.top[0] == (entry.token, entry.logprob) for entry in told)


def test_characters_are_never_split(batch: Batch):
    """Bytes that together make one character come out together."""
    alphabet = _alphabet()
    dino = [3 + alphabet.index(byte) for byte in "🦕".encode()]
    said = []
    for count in range(1, len(dino) + 1):
        detokenizer = batch._loaded.tokenizer.detokenizer
        for token in dino[:count]:
            detokenizer.add_token(token)
        said.append(detokenizer.last_segment)

    assert said == ["", "", "", "🦕"]


def _alphabet() -> list[int]:
    """The byte of each token behind the special ones, as the tiny tokenizer orders them."""
    from tokenizers import pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
    return [byte_of[letter] for letter in sorted(pre_tokenizers.ByteLevel.alphabet())]


def test_an_answer_that_the_caller_began_is_carried_on(batch: Batch):
    """A chat that ends in the assistant's words is continued there, not answered anew."""
    plain = replace(GREEDY, logit_bias={str(token): -100.0 for token in (*range(3), *range(97, 259))})
    whole = texts(batch, [ask("ping", plain)])[0]
    request = ChatRequest("tiny", (user("ping"), assistant(whole[:6])), sampling=replace(plain, max_output_tokens=18))

    assert texts(batch, [request])[0] == whole[6:]


def test_the_authors_defaults_are_used():
    """Without a word of the caller, generation_config.json decides; without that file, we do."""
    assert Defaults.from_config({"temperature": 0.2, "top_k": 20.0, "top_p": "odd"}) == Defaults(0.2, None, 20)
    assert Defaults.from_config({"do_sample": False, "temperature": 0.2}).temperature == 0.0
    assert Defaults.from_config({}).temperature == 0.7


def test_a_template_that_refuses_says_why_in_its_own_words(tiny_model: Path, tmp_path: Path):
    """The template's complaint is told; words of the prompt are not."""
    folder = tmp_path / "strict"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{{ raise_exception('No: ' + messages[0].content) }}"
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    strict = fresh(load(folder, name="strict", context=None, fast_blas=True))

    with pytest.raises(RequestError, match="System role not supported"):
        strict.admit("k", ChatRequest("strict", (system("a"), user("b"))))
    with pytest.raises(RequestError) as caught:
        strict.admit("k", ask("secret"))

    assert "secret" not in str(caught.value)
