"""Several keys of one provider: which is asked, which rests and for how long, by rules alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from osaurus_nb import errors
from osaurus_nb.providers.key_pool import EXHAUSTED, FORBIDDEN, LIMITED, LONGEST, Key, KeyPool
from osaurus_nb.testing.virtual_time import VirtualClock

KEYS = tuple(Key(position, f"sk-canary-{position}") for position in (1, 2, 3))
REJECTED, FORBIDDEN_FAULT, QUOTA, LIMIT, FAILING, WRONG = "401", "403", "402", "429", "503", "400"


def fault(kind: str, wait: float | None = None) -> errors.ProviderError:
    made: dict[str, type[errors.ProviderError]] = {
        REJECTED: errors.CredentialRejected,
        FORBIDDEN_FAULT: errors.CredentialRejected,
        QUOTA: errors.QuotaExhausted,
        LIMIT: errors.RateLimited,
        FAILING: errors.Unavailable,
        WRONG: errors.Refused,
    }
    return made[kind](kind, provider="lab", upstream_status=int(kind), retry_after=wait)


def pool_at(clock: VirtualClock) -> KeyPool:
    return KeyPool(clock, b"pepper")


def asked_first(pool: KeyPool, about: str = "m", keys: tuple[Key, ...] = KEYS) -> int:
    key = pool.trial(keys, about, provider="lab").key
    assert key is not None
    return key.position


@pytest.mark.parametrize("kind", [REJECTED, FORBIDDEN_FAULT, QUOTA, LIMIT, FAILING])
def test_another_key_is_asked_and_the_user_is_told_which_was_not(kind: str) -> None:
    """The sentence names the position and the reason, never the key."""
    trial = pool_at(VirtualClock()).trial(KEYS, "m", provider="lab")

    told = trial.replaced(fault(kind))

    assert trial.key == KEYS[1]
    assert told.code == "key_skipped"
    assert told.message.startswith("Key 1 of 'lab' was passed over: ")
    assert "canary" not in told.message + repr(KEYS)


def test_a_wrong_request_is_wrong_with_every_key() -> None:
    """What is not the key's fault is told at once, and no key rests for it."""
    pool = pool_at(VirtualClock())

    with pytest.raises(errors.Refused):
        pool.trial(KEYS, "m", provider="lab").replaced(fault(WRONG))

    assert asked_first(pool) == 1


def test_a_failing_provider_is_not_asked_with_all_keys() -> None:
    """One more request may help; a key for each would only add to its trouble."""
    trial = pool_at(VirtualClock()).trial(KEYS, "m", provider="lab")
    trial.replaced(fault(FAILING))

    with pytest.raises(errors.Unavailable):
        trial.replaced(fault(FAILING))

    assert trial.key == KEYS[1]


def test_when_all_keys_failed_the_fault_that_helps_most_is_told() -> None:
    """To wait is easier than to pay, and that is easier than another key."""
    trial = pool_at(VirtualClock()).trial(KEYS, "m", provider="lab")
    trial.replaced(fault(REJECTED))
    trial.replaced(fault(LIMIT, wait=7))

    with pytest.raises(errors.RateLimited) as caught:
        trial.replaced(fault(QUOTA))

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("kind", "wait", "seconds"),
    [
        (LIMIT, 7.0, 7.0),
        (LIMIT, None, LIMITED),
        (QUOTA, None, EXHAUSTED),
        (FORBIDDEN_FAULT, None, FORBIDDEN),
    ],
)
def test_a_key_rests_as_long_as_its_fault_lasts(kind: str, wait: float | None, seconds: float) -> None:
    """As the provider said, or as is usual; then it is the first again."""
    clock = VirtualClock()
    pool = pool_at(clock)
    pool.trial(KEYS, "m", provider="lab").replaced(fault(kind, wait))

    clock.pass_by(seconds - 0.1)
    before = asked_first(pool)
    clock.pass_by(0.2)

    assert (before, asked_first(pool)) == (2, 1)


def test_a_daily_quota_is_back_at_midnight() -> None:
    """A key that was used up shortly before is tried when the day is new, not an hour later."""
    clock = VirtualClock()
    clock.pass_by(24 * 3600 - 60)
    pool = pool_at(clock)
    pool.trial(KEYS, "m", provider="lab").replaced(fault(QUOTA))

    clock.pass_by(61)

    assert asked_first(pool) == 1


def test_a_rejected_key_rests_until_it_is_another_one() -> None:
    """Time does not make it good; what is typed in its place is asked at once."""
    clock = VirtualClock()
    pool = pool_at(clock)
    pool.trial(KEYS, "m", provider="lab").replaced(fault(REJECTED))

    clock.pass_by(365 * 24 * 3600)

    assert asked_first(pool) == 2
    assert asked_first(pool, keys=(Key(1, "sk-new"), *KEYS[1:])) == 1


def test_a_key_is_limited_for_what_it_was_asked() -> None:
    """Limits and permissions are often a model's; being rejected or without credit is the key's."""
    pool = pool_at(VirtualClock())
    pool.trial(KEYS, "m", provider="lab").replaced(fault(LIMIT))
    pool.trial(KEYS[1:], "m", provider="lab").replaced(fault(QUOTA))

    assert asked_first(pool, "m") == 3
    assert asked_first(pool, "other") == 1
    assert asked_first(pool, "other", KEYS[1:]) == 3


def test_waits_grow_until_the_key_works_again() -> None:
    """Where the provider does not say how long, each time doubles it, to half an hour."""
    clock = VirtualClock()
    pool = pool_at(clock)
    waits = []
    for _ in range(12):
        pool.failed(KEYS[0], "m", fault(LIMIT))
        rest = pool.rest(KEYS[0], "m")
        assert rest is not None
        assert rest.until is not None
        waits.append((rest.until - clock.now()).total_seconds())
    pool.worked(KEYS[0], "m")
    pool.failed(KEYS[0], "m", fault(LIMIT))
    again = pool.rest(KEYS[0], "m")

    assert waits[:3] == [LIMITED, 2 * LIMITED, 4 * LIMITED]
    assert waits[-1] == LONGEST
    assert again is not None
    assert again.times == 1


def test_a_provider_is_never_given_up_without_asking() -> None:
    """When all keys rest, the one whose rest ends first is asked, and it alone."""
    pool = pool_at(VirtualClock())
    for key, wait in zip(KEYS, (30.0, 10.0, 20.0), strict=True):
        pool.failed(key, "m", fault(LIMIT, wait))

    trial = pool.trial(KEYS, "m", provider="lab")

    assert trial.key == KEYS[1]
    assert trial.alone
    with pytest.raises(errors.RateLimited):
        trial.replaced(fault(LIMIT, 10))


def test_a_key_that_rests_is_told_each_time_it_is_passed_over() -> None:
    """Another account pays meanwhile: that is not kept silent."""
    pool = pool_at(VirtualClock())
    pool.failed(KEYS[0], "m", fault(LIMIT, 60))
    pool.failed(KEYS[2], "m", fault(LIMIT, 60))

    [told] = pool.trial(KEYS, "m", provider="lab").skipped

    assert told.message == "Key 1 of 'lab' was passed over: it is limited. It is left alone until 00:01:00 UTC."


def test_a_provider_without_keys_has_nothing_to_replace() -> None:
    """Its fault is its fault."""
    trial = pool_at(VirtualClock()).trial((), "m", provider="lab")

    assert trial.key is None
    with pytest.raises(errors.RateLimited):
        trial.replaced(fault(LIMIT))


def test_nothing_of_a_key_stays_in_memory() -> None:
    """What is remembered cannot be turned back, nor compared between processes."""
    one, other = KeyPool(VirtualClock(), b"a"), KeyPool(VirtualClock(), b"b")
    for pool in (one, other):
        pool.failed(KEYS[0], "m", fault(REJECTED))

    assert "canary" not in repr(vars(one))
    assert not set(one._rests) & set(other._rests)


@given(st.lists(st.sampled_from([REJECTED, FORBIDDEN_FAULT, QUOTA, LIMIT, FAILING, WRONG]), min_size=3, max_size=3))
def test_each_key_is_asked_at_most_once(kinds: list[str]) -> None:
    """Whatever comes back, a question ends: with an answer, or with one of the faults that came."""
    trial = pool_at(VirtualClock()).trial(KEYS, "m", provider="lab")
    seen, last = [], None

    for kind in kinds:
        assert trial.key is not None
        seen.append(trial.key.position)
        try:
            trial.replaced(fault(kind))
        except errors.ProviderError as error:
            last = str(error)
            break

    assert seen == sorted(set(seen))
    assert last in kinds


class Pool(RuleBasedStateMachine):
    """Faults, successes and time, in any order, against a model that is a table of times."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.pool = pool_at(self.clock)

    @rule(key=st.sampled_from(KEYS), about=st.sampled_from("ab"), kind=st.sampled_from([REJECTED, QUOTA, LIMIT, WRONG]))
    def fail(self, key: Key, about: str, kind: str) -> None:
        self.pool.failed(key, about, fault(kind))
        assert (self.pool.rest(key, about) is None) <= (kind == WRONG)

    @rule(key=st.sampled_from(KEYS), about=st.sampled_from("ab"))
    def work(self, key: Key, about: str) -> None:
        self.pool.worked(key, about)
        assert self.pool.rest(key, about) is None

    @rule(seconds=st.floats(0, 100_000))
    def wait(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    @invariant()
    def the_first_that_does_not_rest_is_asked(self) -> None:
        for about in "ab":
            healthy = [key.position for key in KEYS if self.pool.rest(key, about) is None]
            assert asked_first(self.pool, about) == (healthy[0] if healthy else asked_first(self.pool, about))

    @invariant()
    def a_rest_that_ends_has_not_ended(self) -> None:
        for key in KEYS:
            rest = self.pool.rest(key, "a")
            assert rest is None or rest.until is None or rest.until > self.clock.now()


TestPool = Pool.TestCase
