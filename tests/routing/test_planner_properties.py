"""What holds for any models and any demands."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.messages import image, user
from osaurus_nb.models import LOCAL_CLASSES, Capabilities, ModelCard, Price
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling, Tool
from osaurus_nb.routes import MODES, Explanation, Profile, Requirements
from osaurus_nb.routing.intent import Intent
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.planner import Planner, Situation
from osaurus_nb.routing.requirements import Size
from osaurus_nb.routing.shelf import Shelf

PROVIDERS = ("alpha", "beta", "local", "attic")
maybe = st.sampled_from([True, False, None])
prices = st.builds(
    lambda low, high: Price(Decimal(low) / 100, Decimal(high) / 100), st.integers(0, 3000), st.integers(0, 9000)
)
cards = st.builds(
    ModelCard,
    id=st.builds(
        "{}{}".format,
        st.sampled_from(["wren", "heron", "owl-mini", "coder"]),
        st.sampled_from(["", "-7b", "-70b", "-1.5b-4bit", ":cloud", "-30b-a3b", "-embed"]),
    ),
    provider=st.sampled_from(PROVIDERS),
    endpoint=st.sampled_from(["process", "loopback", "lan", "tailnet", "decentralized", "cloud"]),
    context_length=st.sampled_from([None, 2_048, 8_192, 128_000, 1_000_000]),
    capabilities=st.builds(Capabilities, maybe, maybe, maybe, maybe, maybe, maybe),
    price=st.none() | prices,
    size_bytes=st.none() | st.integers(1, 10**11),
    quirks=st.sampled_from([frozenset(), frozenset({"always_thinks"})]),
)
lists = st.lists(cards, max_size=12, unique_by=lambda card: card.name)
demands = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just(True),
        "json": st.just(True),
        "vision": st.just(True),
        "audio": st.just(True),
        "documents": st.just(True),
        "reasoning": st.just(True),
        "long_context": st.just(True),
        "min_context": st.sampled_from([1_000, 100_000]),
        "min_params_b": st.sampled_from([1.0, 10.0, 70.0]),
        "max_price": st.sampled_from([0.0, 1.0, 20.0]),
        "allow_providers": st.sampled_from([("alpha",), ("b*", "local")]),
        "deny_providers": st.sampled_from([("alpha",), ("*a*",)]),
        "deny_models": st.sampled_from([("*heron*",), ("alpha/*", "wren-7b")]),
    },
)
requests = st.builds(
    lambda words, tools, effort, picture, most: ChatRequest(
        "osaurus/auto",
        (user("word " * words, *([image(b"\x89PNG\r\n\x1a\n")] if picture else [])),),
        tools=(Tool("t"),) if tools else (),
        reasoning_effort=effort,
        sampling=Sampling(max_output_tokens=most),
    ),
    st.integers(0, 9_000),
    st.booleans(),
    st.sampled_from([None, "none", "low", "high"]),
    st.booleans(),
    st.sampled_from([None, 10, 5_000]),
)
intents = st.builds(
    lambda label, work: Intent(label, 0.9, "chat", 0.05, work, 0.8),
    st.sampled_from(["code", "chat", "reasoning", "unknown"]),
    st.sampled_from(["low", "medium", "high", "unknown"]),
)
profiles = st.builds(
    Profile,
    name=st.just("p"),
    mode=st.sampled_from(MODES),
    quality=st.sampled_from([0.0, 0.5]),
    chain=st.integers(1, 12),
)


def names(found: Explanation) -> set[str]:
    return {each.model for each in found.ranked}


@st.composite
def moments(draw: st.DrawFn) -> Situation:
    """Anything that may be known now, the same whenever it is asked."""
    waits = draw(st.dictionaries(st.sampled_from(PROVIDERS), st.floats(0.1, 600), max_size=2))
    records = draw(
        st.dictionaries(
            st.sampled_from(PROVIDERS),
            st.builds(
                Record,
                st.floats(0, 1),
                st.none() | st.floats(0, 100),
                st.none() | st.floats(0, 1_000),
                st.floats(-1, 1),
            ),
            max_size=3,
        )
    )
    fits = draw(maybe)
    return Situation(
        wait=lambda card: waits.get(card.provider),
        record=lambda card, _: records.get(card.provider),
        fits=lambda _: fits,
        ejected=draw(st.frozensets(st.sampled_from(PROVIDERS), max_size=2)),
        resident=draw(st.frozensets(st.sampled_from(["wren", "wren-7b"]))),
        held=draw(st.sampled_from([None, "wren", "alpha/heron-70b", "alpha/none"])),
        budget_left_micro=draw(st.none() | st.integers(0, 100_000)),
        explore=draw(st.none() | st.floats(0, 1)),
    )


@settings(max_examples=300, deadline=None)
@given(lists, requests, demands, profiles, intents, moments())
def test_every_model_is_told_of_once(
    models: list[ModelCard],
    request: ChatRequest,
    wanted: dict[str, Any],
    profile: Profile,
    intent: Intent,
    now: Situation,
) -> None:
    """Each model is ranked or refused, never both; scores are the sums of their terms; the chain is what is ranked."""
    asked = replace(request, route=RouteOptions(requirements=Requirements(**wanted)))

    found = Planner(lambda _: intent).plan(asked, models, profile, now)

    told = [each.model for each in found.ranked] + [each.model for each in found.rejected]
    assert sorted(told) == sorted(card.name for card in models)
    assert all(each.score == sum(term.points for term in each.terms) for each in found.ranked)
    assert all(0 <= term.value <= 1 for each in found.ranked for term in each.terms)
    assert found.chain == min(len(found.ranked), profile.chain, 8)
    rest = found.ranked[found.chain :]
    assert list(rest) == sorted(rest, key=lambda each: (-each.score, each.model))
    assert all(each.reason.endswith(".") and each.remedy for each in found.rejected)


@settings(max_examples=300, deadline=None)
@given(lists, requests, demands, demands, profiles, intents)
def test_more_demands_admit_nobody(
    models: list[ModelCard],
    request: ChatRequest,
    wanted: dict[str, Any],
    more: dict[str, Any],
    profile: Profile,
    intent: Intent,
) -> None:
    """Whoever is refused under some demands is refused under those and others too."""
    planner = Planner(lambda _: intent)
    asked = replace(request, route=RouteOptions(requirements=Requirements(**wanted)))

    few = planner.plan(asked, models, profile)
    many = planner.plan(asked, models, replace(profile, requirements=Requirements(**more)))
    strict = planner.plan(replace(asked, route=replace(asked.route, strict_params=True)), models, profile)

    assert names(many) <= names(few)
    assert names(strict) <= names(few)


@settings(max_examples=200, deadline=None)
@given(lists, requests, profiles, intents, moments(), st.booleans())
def test_what_must_stay_here_stays_here(
    models: list[ModelCard],
    request: ChatRequest,
    profile: Profile,
    intent: Intent,
    now: Situation,
    by_caller: bool,
) -> None:
    """Under local-strict, by whoever says it, no model elsewhere is ranked, and none that is forwarded there."""
    if by_caller:
        request = replace(request, route=RouteOptions(mode="local-strict"))
    else:
        profile = replace(profile, mode="local-strict")

    found = Planner(lambda _: intent).plan(request, models, profile, now)

    by_name = {card.name: card for card in models}
    assert found.mode == "local-strict"
    assert all(by_name[name].endpoint in LOCAL_CLASSES and ":cloud" not in name for name in names(found))


@settings(max_examples=200, deadline=None)
@given(lists, requests, profiles, intents, moments(), st.sampled_from([("alpha",), ("LOCAL", "beta"), ("*",)]))
def test_who_is_denied_never_appears(
    models: list[ModelCard],
    request: ChatRequest,
    profile: Profile,
    intent: Intent,
    now: Situation,
    denied: tuple[str, ...],
) -> None:
    """A denied provider is not ranked, by whatever else speaks for it."""
    held = replace(profile, requirements=Requirements(deny_providers=denied))

    found = Planner(lambda _: intent).plan(request, models, held, now)

    slugs = set(PROVIDERS) if denied == ("*",) else {name.lower() for name in denied}
    assert not {each.provider for each in found.ranked} & slugs


@settings(max_examples=200, deadline=None)
@given(lists, requests, profiles, intents, moments(), moments())
def test_a_kept_plan_is_the_same_plan(
    models: list[ModelCard],
    request: ChatRequest,
    profile: Profile,
    intent: Intent,
    before: Situation,
    now: Situation,
) -> None:
    """What is kept from earlier questions changes nothing, nor does the order in which models are listed."""
    planner, fresh = Planner(lambda _: intent), Planner(lambda _: intent)
    planner.plan(request, models, profile, before)
    planner.plan(request, models, profile, now)

    again = planner.plan(request, list(models), profile, now)
    turned = fresh.plan(request, models[::-1], profile, now)

    assert again == Planner(lambda _: intent).plan(request, models, profile, now)
    assert again.ranked == turned.ranked


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 300_000), max_size=12),
    st.integers(0, 300_000),
    st.sampled_from([1, 16, 1_000, 1_024, 4_097]),
)
def test_sizes_that_count_as_one_fit_the_same_windows(windows: list[int], prompt: int, answer: int) -> None:
    """Questions are sorted by rough size, and still nobody is refused or asked for the sake of the rounding."""
    shelf = Shelf([ModelCard(f"m{place}", "p", context_length=window) for place, window in enumerate(windows)])
    exact = Size(prompt, answer)

    rough = shelf.about(exact)

    assert rough.prompt >= prompt
    assert rough.answer >= answer
    assert [window < rough.total for window in windows] == [window < exact.total for window in windows]


@pytest.mark.parametrize("told", [True, False, None])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("need", ["tools", "json", "vision", "audio", "documents", "reasoning"])
def test_yes_no_and_not_known(need: str, told: bool | None, strict: bool) -> None:
    """No refuses; not known refuses where it would not be noticed, and where no guesses are wanted; yes passes."""
    capability = "json_schema" if need == "json" else need
    card = ModelCard("m", "p", context_length=10_000, capabilities=Capabilities(**{capability: told}))
    route = RouteOptions(requirements=Requirements(**{need: True}), strict_params=strict)

    found = Planner().plan(ChatRequest("osaurus/auto", (user("Hello"),), route=route), (card,), Profile("p"))

    passes = told is True or (told is None and not strict and need in ("tools", "json", "reasoning"))
    assert bool(found.ranked) == passes
    if not passes:
        assert found.rejected[0].code == f"no_{need}"
