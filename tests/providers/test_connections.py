"""The connections of all providers, on a clock that jumps: who is asked when, and what is never done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osaurus_nb import errors
from osaurus_nb.models import EndpointClass, ModelCard, SourceStatus
from osaurus_nb.providers.connections import AT_ONCE, DEADLINE, Connections
from osaurus_nb.providers.trial import trial
from osaurus_nb.testing.virtual_time import VirtualClock, run


class Provider:
    """Lists its one model after `takes` seconds, or raises the next of its faults first. Counts who asks."""

    def __init__(
        self,
        slug: str = "lab",
        *,
        takes: float = 0.1,
        faults: Sequence[errors.OsaurusError] = (),
        auto: bool = True,
        endpoint: EndpointClass = "cloud",
        log: list[str] | None = None,
    ) -> None:
        self.provider = slug
        self.host = f"{slug}.example"
        self.auto_connect = auto
        self.takes = takes
        self.faults = list(faults)
        self.key = 1
        self.asked: list[float] = []
        self.running = 0
        self._card = ModelCard("m", slug, endpoint=endpoint)
        self._log = log if log is not None else []

    def mark(self) -> int:
        return self.key

    async def models(self) -> Sequence[ModelCard]:
        self.asked.append(asyncio.get_running_loop().time())
        self._log.append(f"+{self.provider}")
        self.running += 1
        try:
            await asyncio.sleep(self.takes)
        finally:
            try:
                await asyncio.sleep(0)  # stopping takes a moment too
            finally:
                self.running -= 1
                self._log.append(f"-{self.provider}")
        if self.faults:
            raise self.faults.pop(0)
        return [self._card]

    def stream(self, *_: object) -> AsyncGenerator[errors.Warned, None]:
        raise NotImplementedError

    async def aclose(self) -> None: ...


def fault(kind: type[errors.ProviderError], status: int | None = None, **options: float) -> errors.ProviderError:
    return kind("It broke.", provider="lab", upstream_status=status, **options)


def lost(reason: errors.Reason = "route") -> errors.ProviderError:
    error = errors.Unreachable("Not reached.", provider="lab")
    error.reason = reason
    return error


@asynccontextmanager
async def following(clock: VirtualClock, *providers: Provider) -> AsyncGenerator[Connections, None]:
    connections = Connections(clock=clock, chance=lambda: 0.0)
    connections.follow({provider.provider: provider for provider in providers})
    try:
        yield connections
    finally:
        await connections.aclose()


def state(connections: Connections, slug: str = "lab") -> str:
    return next(status.state for status in connections.statuses() if status.provider == slug)


def only(connections: Connections) -> SourceStatus:
    [status] = connections.statuses()
    return status


def test_the_start_asks_those_that_connect_by_themselves() -> None:
    """All at once, a few at a time; one that shall wait for its user waits."""

    async def scenario(clock: VirtualClock) -> None:
        many = [Provider(f"p{n}", takes=1.0) for n in range(2 * AT_ONCE)]
        manual = Provider("manual", auto=False)
        async with following(clock, *many, manual) as connections:
            started = clock.monotonic()
            connections.launch()
            assert state(connections, "p0") == "connecting"
            await asyncio.sleep(0.5)
            assert sum(provider.running for provider in many) == AT_ONCE
            await connections.look()

            assert 2.0 <= clock.monotonic() - started < 2.2
            assert {state(connections, provider.provider) for provider in many} == {"connected"}
            assert state(connections, "manual") == "disconnected"
            assert (await connections.connect("manual")).state == "connected"

    run(scenario)


def test_nobody_is_asked_before_somebody_wants_a_list() -> None:
    """A question to one provider's model contacts no other."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider()
        async with following(clock, provider) as connections:
            await connections.look()

            assert provider.asked == []
            assert connections.known == {"lab": ()}

    run(scenario)


def test_a_second_connect_joins_the_first() -> None:
    """Both hear the same answer; the provider is asked once, and one who gives up stops nobody."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(takes=1.0)
        async with following(clock, provider) as connections:
            first = asyncio.create_task(connections.connect("lab"))
            second = asyncio.create_task(connections.connect("lab"))
            await asyncio.sleep(0.5)
            first.cancel()

            assert (await second).models == 1
            assert len(provider.asked) == 1

    run(scenario)


def test_passing_faults_are_retried_quietly() -> None:
    """It stays red with the next try's moment, later and later, until it is green."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(takes=0.0, faults=[lost(), fault(errors.Unavailable, 503), fault(errors.TooSlow)])
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(0.5)
            red = only(connections)
            assert red.state == "error"
            assert red.retry_at == pytest.approx(clock.now().timestamp() + 0.5)
            await asyncio.sleep(10)

            waits = [round(b - a) for a, b in zip(provider.asked, provider.asked[1:], strict=False)]
            assert waits == [1, 2, 4]
            assert only(connections).state == "connected"
            assert only(connections).retry_at is None

    run(scenario)


def test_a_rejected_key_is_not_tried_again() -> None:
    """Until there is another key, or the user says so."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(faults=[fault(errors.CredentialRejected, 401), fault(errors.CredentialRejected, 401)])
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(3600)
            connections.wake()
            await connections.look()
            assert len(provider.asked) == 1
            told = only(connections)
            assert told.diagnosis is not None
            assert told.diagnosis.bucket == "auth-rejected"
            assert told.error is not None
            assert told.error.startswith("401 from lab.example: key rejected. ")

            await connections.connect("lab")
            assert only(connections).state == "error"
            provider.key = 2
            await connections.look()
            assert only(connections).state == "connected"

    run(scenario)


def test_an_answer_shows_that_a_key_is_good_again() -> None:
    """The vendor made peace with it: the next answered question turns the badge green."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(faults=[fault(errors.CredentialRejected, 401)])
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(60)
            connections.answered("lab")
            connections.answered("unknown")
            await asyncio.sleep(1)

            assert only(connections).state == "connected"

    run(scenario)


def test_what_a_provider_asks_to_wait_is_waited() -> None:
    """`Retry-After` counts where it is longer than our own wait."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(takes=0.0, faults=[fault(errors.RateLimited, 429, retry_after=40.0)])
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(39)
            assert len(provider.asked) == 1
            await asyncio.sleep(2)
            assert len(provider.asked) == 2

    run(scenario)


def test_a_machine_that_wakes_retries_at_once() -> None:
    """The wall clock jumped while the other stood: within seconds, not after the rest of a long wait."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(takes=0.0, faults=[lost()] * 30)
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(70)
            asked = len(provider.asked)
            clock.doze(8 * 3600)
            await asyncio.sleep(5.5)

            assert len(provider.asked) > asked
            assert only(connections).retry_at is not None

    run(scenario)


def test_the_network_is_back_for_all_when_it_is_for_one() -> None:
    """One cloud provider that answers again has the others asked at once."""

    async def scenario(clock: VirtualClock) -> None:
        first, second = (
            Provider("first", takes=0.0, faults=[lost()] * 7),
            Provider("second", takes=0.0, faults=[lost()] * 6),
        )
        async with following(clock, first, second) as connections:
            connections.launch()
            await asyncio.sleep(64)  # the next tries of both are a minute away
            first.faults.clear()
            second.faults.clear()
            await connections.connect("first")
            await asyncio.sleep(0.1)

            assert state(connections, "second") == "connected"

    run(scenario)


def test_looks_ask_again_but_not_too_often() -> None:
    """Ten seconds apart, green all the while; a list that changed is there afterwards."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider()
        async with following(clock, provider) as connections:
            connections.launch()
            await connections.look()
            await asyncio.sleep(5)
            await connections.look()
            assert len(provider.asked) == 1
            await asyncio.sleep(5)
            looking = [asyncio.create_task(connections.look()) for _ in range(3)]
            await asyncio.sleep(0.05)
            assert only(connections).state == "connected"
            await asyncio.gather(*looking)
            assert len(provider.asked) == 2

    run(scenario)


def test_a_provider_that_hangs_is_given_up() -> None:
    """Within the deadline, whatever it does."""

    async def scenario(clock: VirtualClock) -> None:
        async with following(clock, Provider(takes=1e6)) as connections:
            before = clock.monotonic()
            told = await connections.connect("lab")

            assert told.diagnosis is not None
            assert told.diagnosis.bucket == "timeout"
            assert clock.monotonic() - before == pytest.approx(DEADLINE, abs=0.1)

    run(scenario)


def test_the_user_parts_and_connects() -> None:
    """A parted provider is left alone by start, wake and look; its fault is forgotten."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(faults=[lost()])
        async with following(clock, provider) as connections:
            connections.launch()
            await asyncio.sleep(0.5)
            assert connections.disconnect("lab").error is None
            connections.wake()
            await connections.look()
            await asyncio.sleep(100)
            assert (only(connections).state, len(provider.asked)) == ("disconnected", 1)
            assert (await connections.connect("lab")).state == "connected"
            with pytest.raises(errors.ConfigError, match="lab"):
                await connections.connect("other")

    run(scenario)


def test_whoever_watches_sees_each_change() -> None:
    """Blue, red with the reason, blue no more, green; and that it is gone."""

    async def scenario(clock: VirtualClock) -> None:
        provider = Provider(faults=[lost()])
        async with following(clock, provider) as connections:
            seen: list[str] = []

            async def watch() -> None:
                async with contextlib.aclosing(connections.watch()) as changes:
                    async for all in changes:
                        seen.append(",".join(status.state for status in all))

            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.01)
            connections.launch()
            await asyncio.sleep(5)
            connections.follow({}, ["lab"])
            await asyncio.sleep(0.01)
            connections.follow({})
            await asyncio.sleep(0.01)
            await connections.aclose()
            await watching

            assert list(dict.fromkeys(seen)) == ["disconnected", "connecting", "error", "connected", "disabled", ""]

    run(scenario)


def test_a_trial_keeps_nothing() -> None:
    """The same question, of a provider that need not be set up; no task stays, no retry comes."""

    async def scenario(clock: VirtualClock) -> None:
        good, bad = Provider(), Provider(faults=[fault(errors.CredentialRejected, 401)])

        assert (await trial(good, clock)).models == ("m",)
        assert (await trial(bad, clock)).state == "error"
        await asyncio.sleep(1000)
        assert len(bad.asked) == 1

    run(scenario)


def test_a_broken_adapter_is_an_error_and_not_a_hang(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of our own is told by its kind; what it said may hold anything."""

    class Broken(Provider):
        async def models(self) -> Sequence[ModelCard]:
            raise ValueError("canary")

    async def scenario(clock: VirtualClock) -> None:
        async with following(clock, Broken()) as connections:
            told = await connections.connect("lab")

            assert told.error is not None
            assert "ValueError" in told.error
            assert "canary" not in told.error + caplog.text

    run(scenario)


KINDS: list[Callable[[], list[errors.OsaurusError]]] = [
    list,
    lambda: [lost()] * 3,
    lambda: [fault(errors.CredentialRejected, 401)],
    lambda: [fault(errors.Unavailable, 503)],
]
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["launch", "look", "wake", "connect", "disconnect", "doze"])),
    st.tuples(st.sampled_from(["disable", "remove"])),
    st.tuples(st.just("edit"), st.sampled_from(KINDS), st.sampled_from([0.0, 0.5, 40.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 0.4, 1.0, 12.0, 90.0])),
)


class Player:
    """Does to one provider what it is told, and looks after each step."""

    def __init__(self, clock: VirtualClock, connections: Connections, log: list[str]) -> None:
        self.clock, self.connections, self.log = clock, connections, log
        self.provider = Provider(log=log)
        self.there, self.enabled = True, True
        self.waiting: list[asyncio.Task[object]] = []

    async def step(self, action: str, *details: Any) -> None:
        match action:
            case "launch":
                self.connections.launch()
            case "look":
                self.waiting.append(asyncio.create_task(self.connections.look()))
            case "wake":
                self.connections.wake()
            case "connect" | "disconnect" if not self.there:
                pass
            case "connect":
                self.waiting.append(asyncio.create_task(self.connections.connect("lab")))
                await asyncio.sleep(0)
            case "disconnect":
                self.connections.disconnect("lab")
            case "doze":
                self.clock.doze(3600)
            case "wait":
                await asyncio.sleep(details[0])
            case _:
                self._change(action, *details)
        self._look()

    def _change(self, action: str, *details: Any) -> None:
        self.there, self.enabled = action != "remove", action == "edit"
        if self.enabled:
            kind, takes = details
            self.provider = Provider(takes=takes, faults=kind(), log=self.log)
        self.connections.follow({"lab": self.provider} if self.enabled else {}, ["lab"] if action == "disable" else [])

    def _look(self) -> None:
        states = [status.state for status in self.connections.statuses()]
        assert states == ([] if not self.there else ["disabled"]) or self.enabled

    async def rest(self) -> None:
        """What was disabled or removed is never asked again, and no late answer brings it back."""
        asked = len(self.log)
        await asyncio.sleep(300)
        if not self.enabled:
            self._look()
            assert self.connections.listed() == {}
            assert self.log[asked:] in ([], ["-lab"])
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)


@settings(max_examples=150, deadline=None)
@example(actions=[("launch",), ("connect",), ("wait", 0.1), ("disable",)])
@given(actions=st.lists(ACTIONS, max_size=25))
def test_no_order_of_events_breaks_the_rules(actions: list[tuple[Any, ...]]) -> None:
    """Never connected after a disable, never two fetches of one provider, no task left, whatever the order."""
    log: list[str] = []

    async def scenario(clock: VirtualClock) -> None:
        async with following(clock) as connections:
            player = Player(clock, connections, log)
            connections.follow({"lab": player.provider})
            for action in actions:
                await player.step(*action)
            await player.rest()

    run(scenario)

    assert log == ["+lab", "-lab"] * (len(log) // 2)
