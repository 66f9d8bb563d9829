"""The engine's thread: what waits, what is refused, what is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.errors import ModelRejected, OsaurusError, RateLimited, RequestError
from osaurus_nb.events import Finished
from osaurus_nb.local.engine import Engine, Limits, Parcel
from osaurus_nb.local.loading import load
from osaurus_nb.messages import user
from osaurus_nb.request import ChatRequest, Sampling

LONG = Sampling(temperature=0.0, max_output_tokens=1500, logit_bias={"2": -100.0})


class Post:
    """Collects what an engine delivers, and lets a test wait for it."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self._news = threading.Condition()

    def __call__(self, parcels: list[Parcel]) -> None:
        with self._news:
            self.parcels += parcels
            self._news.notify_all()

    def wait(self, happened: Callable[[list[Parcel]], bool]) -> None:
        with self._news:
            assert self._news.wait_for(lambda: happened(self.parcels), 20)


def finished(key: str) -> Callable[[list[Parcel]], bool]:
    def happened(parcels: list[Parcel]) -> bool:
        return any(
            name == key and (isinstance(content, OsaurusError) or isinstance(content[-1], Finished))
            for name, content in parcels
        )

    return happened


def ask(text: str = "ping", sampling: Sampling = LONG) -> ChatRequest:
    return ChatRequest("tiny", (user(text),), sampling=sampling)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def engine(tiny_model: Path, post: Post) -> Iterator[Engine]:
    made = Engine(
        partial(load, tiny_model, name="tiny", context=2048, fast_blas=True),
        limits=Limits(slots=2, waiting=3),
        deliver=post,
    )
    made.start()
    made.loaded.result(30)
    yield made
    made.stop()
    made.ended.result(30)


def test_too_many_are_refused_with_a_time_to_come_back(engine: Engine, post: Post):
    """Past the queue's length a request is refused at once, and those inside are answered."""
    for number in range(2):
        engine.submit(f"runs{number}", ask())
    post.wait(lambda parcels: {"runs0", "runs1"} <= {key for key, _ in parcels})
    for number in range(3):
        engine.submit(f"waits{number}", ask(sampling=replace(LONG, max_output_tokens=2)))

    with pytest.raises(RateLimited) as caught:
        engine.submit("late", ask())

    assert caught.value.retry_after is not None
    assert engine.pulse().waiting == 3
    for key in ("runs0", "runs1"):
        engine.cancel(key)
    for number in range(3):
        post.wait(finished(f"waits{number}"))


def test_cancelling_who_waits(engine: Engine, post: Post):
    """A request that is cancelled while it waits is never begun."""
    for key in ("runs0", "runs1", "waits"):
        engine.submit(key, ask())
    engine.cancel("waits")
    for key in ("runs0", "runs1"):
        engine.cancel(key)
    engine.submit("after", ask(sampling=replace(LONG, max_output_tokens=2)))

    post.wait(finished("after"))

    assert "waits" not in {key for key, _ in post.parcels}
    assert engine.pulse().running == 0


def test_a_request_that_is_refused_hurts_no_other(engine: Engine, post: Post):
    """A request error is told to its request alone."""
    engine.submit("bad", ask(sampling=Sampling(temperature=-1.0)))
    engine.submit("good", ask(sampling=replace(LONG, max_output_tokens=2)))

    post.wait(finished("good"))

    errors = {key: content for key, content in post.parcels if isinstance(content, OsaurusError)}
    assert isinstance(errors.pop("bad"), RequestError)
    assert not errors


def test_rest_is_no_silence(engine: Engine, post: Post):
    """The beat ages only while work is pending."""
    engine.submit("short", ask(sampling=replace(LONG, max_output_tokens=2)))
    post.wait(finished("short"))

    assert engine.pulse().beat_age == 0.0
    engine.submit("next", ask())
    assert engine.pulse().beat_age < 1.0
    engine.cancel("next")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, post: Post):
    """A model that cannot be loaded is told as such, not as a crash."""
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    engine = Engine(partial(load, tmp_path, name="odd", context=None, fast_blas=True), limits=Limits(), deliver=post)

    engine.start()

    with pytest.raises(ModelRejected, match="odd"):
        engine.loaded.result(30)
