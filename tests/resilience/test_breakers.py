"""Breakers of providers and models, asked for both at once."""

from __future__ import annotations

import threading

import pytest

from osaurus_nb import errors
from osaurus_nb.resilience.breakers import Breakers, Permit, Refusal
from osaurus_nb.resilience.classify import classify
from osaurus_nb.testing.virtual_time import VirtualClock

GONE = classify(errors.Unreachable("gone", provider="lab"), committed=False)
FAILING = classify(errors.Unavailable("503", provider="lab", upstream_status=503), committed=False)
LIMITED = classify(errors.RateLimited("429", provider="lab", upstream_status=429), committed=False)
WRONG = classify(errors.Refused("400", provider="lab", upstream_status=400), committed=False)
NO_KEY = classify(errors.CredentialRejected("none", provider="lab"), committed=False)
SILENT = classify(errors.TooSlow("late", provider="lab"), committed=False)
EMPTY = classify(errors.EmptyAnswer("nothing", provider="lab"), committed=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def breakers(clock: VirtualClock) -> Breakers:
    return Breakers(clock)


def permit(breakers: Breakers, provider: str = "lab", model: str | None = "m") -> Permit:
    found = breakers.ask(provider, model)
    assert isinstance(found, Permit)
    return found


def break_it(breakers: Breakers, verdict: object = FAILING, model: str = "m") -> None:
    for _ in range(5):
        permit(breakers, model=model).failed(verdict)  # type: ignore[arg-type]  # a Verdict


def test_a_failing_model_spares_the_provider_s_others(breakers: Breakers) -> None:
    """One model that is overloaded is refused by name; the one beside it is asked."""
    break_it(breakers, FAILING)

    assert breakers.ask("lab", "m") == Refusal("lab", "m", 30.0, "provider_unavailable")
    assert isinstance(breakers.ask("lab", "other"), Permit)


def test_a_provider_that_is_gone_is_gone_for_all_its_models(breakers: Breakers) -> None:
    """Nobody has to find out again with each model, and other providers are not touched."""
    for model in ("a", "b", "c", "d", "e"):
        permit(breakers, model=model).failed(GONE)

    assert breakers.ask("lab", "z") == Refusal("lab", None, 30.0, "endpoint_unreachable")
    assert isinstance(breakers.ask("shop", "z"), Permit)


@pytest.mark.parametrize("verdict", [LIMITED, WRONG, NO_KEY, EMPTY], ids=lambda verdict: verdict.code)
def test_what_is_not_their_failing_never_opens(breakers: Breakers, verdict: object) -> None:
    """A wrong request, a limit, a missing key and an empty answer block nobody, however many come."""
    for _ in range(100):
        permit(breakers).failed(verdict)  # type: ignore[arg-type]  # a Verdict

    assert breakers.wait("lab", "m") is None


def test_callers_who_leave_never_open(breakers: Breakers) -> None:
    """A hundred cancelled questions are no failure of anybody's."""
    for _ in range(100):
        with permit(breakers):
            pass

    assert breakers.wait("lab", "m") is None


def test_exactly_one_probe_goes_out_however_many_ask(breakers: Breakers, clock: VirtualClock) -> None:
    """Of two hundred who ask when the time is over, one is let through; the rest is told to go elsewhere."""
    break_it(breakers)
    clock.pass_by(30)

    found = [breakers.ask("lab", "m") for _ in range(200)]

    probes = [one for one in found if isinstance(one, Permit)]
    assert len(probes) == 1
    assert probes[0].probe
    assert {one.wait for one in found if isinstance(one, Refusal)} == {0.0}


def test_exactly_one_probe_goes_out_from_many_threads(breakers: Breakers, clock: VirtualClock) -> None:
    """The promise holds for a kernel with several loops as well."""
    break_it(breakers)
    clock.pass_by(30)
    start, found = threading.Barrier(16), []

    def ask() -> None:
        start.wait()
        found.extend(breakers.ask("lab", "m") for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 320
    assert sum(isinstance(one, Permit) for one in found) == 1


def test_a_probe_refused_at_the_model_takes_no_place_at_the_provider(breakers: Breakers, clock: VirtualClock) -> None:
    """Both are looked at before either is entered, or a provider could wait for a probe that never was sent."""
    early = [permit(breakers, model="other") for _ in range(5)]
    clock.pass_by(1)
    under_way = [permit(breakers) for _ in range(5)]
    for one in early:
        one.failed(GONE)
    clock.pass_by(10)
    for one in under_way:
        one.failed(FAILING)
    clock.pass_by(20)

    refused = breakers.ask("lab", "m")

    assert refused == Refusal("lab", "m", 10.0, "provider_unavailable")
    assert permit(breakers, model="other").probe


@pytest.mark.parametrize("verdict", [LIMITED, WRONG, EMPTY], ids=lambda verdict: verdict.code)
def test_a_probe_that_was_answered_with_no_shows_that_somebody_is_there(
    breakers: Breakers, clock: VirtualClock, verdict: object
) -> None:
    """A 429 or a 400 is an answer: the outage is over."""
    break_it(breakers)
    clock.pass_by(30)

    permit(breakers).failed(verdict)  # type: ignore[arg-type]  # a Verdict

    assert {one.state for one in breakers.conditions()} == {"closed"}


def test_a_provider_that_answers_again_is_back_though_a_model_fails(breakers: Breakers, clock: VirtualClock) -> None:
    """A 503 is a failing model's, and proof that the provider is there; mere silence proves nothing."""
    break_it(breakers, GONE)
    clock.pass_by(30)

    permit(breakers).failed(SILENT)
    again = permit(breakers)
    again.failed(FAILING)

    assert again.probe
    assert not permit(breakers).probe


def test_a_probe_that_was_never_sent_leaves_it_open(breakers: Breakers, clock: VirtualClock) -> None:
    """A missing key says nothing of the provider; the next one is the probe."""
    break_it(breakers)
    clock.pass_by(30)

    permit(breakers).failed(NO_KEY)

    assert [one.state for one in breakers.conditions() if one.model == "m"] == ["open"]
    assert permit(breakers).probe


def test_a_probe_left_by_an_error_gives_its_place_back(breakers: Breakers, clock: VirtualClock) -> None:
    """Whatever flies through the block, nobody waits for that probe any more."""
    break_it(breakers)
    clock.pass_by(30)

    with pytest.raises(KeyError), permit(breakers):
        raise KeyError("a bug")

    assert permit(breakers).probe


def test_a_permit_counts_once(breakers: Breakers) -> None:
    """What is told twice, or after the block, changes nothing."""
    for _ in range(4):
        with permit(breakers) as one:
            one.failed(FAILING)
            one.failed(FAILING)

    assert breakers.wait("lab", "m") is None


def test_to_look_takes_no_place(breakers: Breakers, clock: VirtualClock) -> None:
    """A plan may look as often as it likes before the one question is sent."""
    break_it(breakers)
    clock.pass_by(10)
    assert breakers.wait("lab", "m") == 20.0
    clock.pass_by(20)

    assert [breakers.wait("lab", "m") for _ in range(3)] == [None] * 3
    assert permit(breakers).probe
    assert breakers.wait("lab", "m") == 0.0


def test_the_conditions_say_what_is_wrong_and_for_how_long(breakers: Breakers, clock: VirtualClock) -> None:
    """A status names who is left alone, until when and why; of those that never failed it says nothing."""
    permit(breakers, "fine").succeeded()
    break_it(breakers)
    clock.pass_by(12)

    (told,) = breakers.conditions()

    assert (told.provider, told.model, told.state, told.wait, told.last) == (
        "lab",
        "m",
        "open",
        18.0,
        "provider_unavailable",
    )


def test_a_provider_that_was_changed_begins_anew(breakers: Breakers) -> None:
    """With a new address or key nothing of the old one is held against it."""
    break_it(breakers, GONE)

    breakers.forget("lab")

    assert breakers.wait("lab", "m") is None
    assert breakers.conditions() == []


def test_it_never_grows_without_end(clock: VirtualClock) -> None:
    """Ten thousand names cost no more than the bound; an open breaker outlives the closed ones, a probe them all."""
    breakers = Breakers(clock, most=64)
    break_it(breakers)
    for name in range(10_000):
        permit(breakers, model=f"model {name}").succeeded()
    assert len(breakers._kept) <= 64
    assert breakers.wait("lab", "m") == 30.0
    clock.pass_by(30)
    probe = permit(breakers)

    for name in range(1_000):
        break_it(breakers, FAILING, model=f"failing {name}")

    assert len(breakers._kept) <= 64
    assert isinstance(breakers.ask("lab", "m"), Refusal)
    probe.succeeded()
    assert breakers.wait("lab", "m") is None


def test_probes_under_way_are_kept_beyond_the_bound(clock: VirtualClock) -> None:
    """There are never two for one model, not even where more are sent than are to be remembered."""
    breakers = Breakers(clock, most=20)
    probes = []
    for number in range(19):
        break_it(breakers, FAILING, model=f"{number}")
        clock.pass_by(30)
        probes.append(permit(breakers, model=f"{number}"))

    permit(breakers, model="one more").succeeded()

    assert all(probe.probe for probe in probes)
    assert all(isinstance(breakers.ask("lab", f"{number}"), Refusal) for number in range(19))
