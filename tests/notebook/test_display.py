"""How often an answer is shown, and what at the end."""

from __future__ import annotations

from osaurus_nb.notebook.display import PERIOD, CellView, Throttle
from osaurus_nb.reply import Reply


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Slot:
    def __init__(self) -> None:
        self.frames: list[str] = []

    def put(self, bundle) -> None:
        self.frames.append(bundle["text/plain"])


def test_the_first_piece_is_shown_at_once_and_the_next_after_a_period():
    """Pieces within a period are shown together by the first chance behind it."""
    clock, slot = Clock(), Slot()
    view = CellView(slot, Throttle(clock))

    for _ in range(5):
        view.add("x")
    clock.now += PERIOD
    view.tick()
    view.tick()

    assert slot.frames == ["x", "xxxxx"]


def test_the_last_state_is_always_shown():
    """The end does not wait for the throttle."""
    slot = Slot()
    view = CellView(slot, Throttle(Clock()))

    view.add("a")
    view.add("b")
    view.end(Reply("ab", "m", "p", "m", "stop"), [])

    assert slot.frames == ["a", "ab"]


def test_dear_frames_come_more_rarely():
    """Rendering takes at most a tenth of the time, and the wire half a million characters a second."""
    clock = Clock()
    throttle = Throttle(clock)

    def render() -> int:
        clock.now += 0.05
        return 1_000_000

    throttle.run(render)
    clock.now += 1.9

    assert not throttle.ready()
    clock.now += 0.2
    assert throttle.ready()


def test_a_growing_answer_costs_little_each_time():
    """Frames of a long answer take about as long at its end as at its beginning: settled blocks are kept."""
    import time

    from osaurus_nb._markup import Document

    paragraph = "Some *words* of an `answer` with [a link](https://a.example).\n\n"
    growing, whole = Document(), Document()
    text = paragraph * 3000
    growing.render(text)
    began = time.perf_counter()
    growing.render(text + paragraph)
    again = time.perf_counter() - began
    began = time.perf_counter()
    whole.render(text + paragraph)

    assert again < (time.perf_counter() - began) / 3
