"""The golden table: what is asked, of five invented providers with twenty-five invented models, and who is chosen."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from osaurus_nb.messages import Media, Message, ToolCall, assistant, image, tool_result, user
from osaurus_nb.models import Capabilities, EndpointClass, ModelCard, Price
from osaurus_nb.request import ChatRequest, Effort, ResponseFormat, RouteOptions, Sampling, Tool
from osaurus_nb.routes import MODES, Complexity, Explanation, Label, Mode, Profile, Requirements
from osaurus_nb.routing.intent import Intent
from osaurus_nb.routing.learning import Record
from osaurus_nb.routing.planner import CALM, Planner, Situation
from osaurus_nb.routing.refusals import nobody
from osaurus_nb.routing.score import NAMES, version, weights

AUTO = Profile("auto")
#: A letter for what a model can, in upper case for what it cannot; what is missing is not known.
LETTERS = {
    "t": "tools",
    "v": "vision",
    "a": "audio",
    "d": "documents",
    "j": "json_schema",
    "r": "reasoning",
    "e": "embeddings",
}


def card(
    name: str,
    can: str = "",
    window: int | None = 131_072,
    price: tuple[float, float] | None = None,
    *,
    at: EndpointClass = "cloud",
    size: float | None = None,
    quirks: frozenset[str] = frozenset(),
) -> ModelCard:
    provider, _, id = name.partition("/")
    known = {LETTERS[letter.lower()]: letter.islower() for letter in can}
    return ModelCard(
        id,
        provider,
        at,
        context_length=window,
        capabilities=Capabilities(**known),
        price=Price(Decimal(str(price[0])), Decimal(str(price[1]))) if price else None,
        size_bytes=int(size * 1e9) if size else None,
        quirks=quirks,  # type: ignore[arg-type]
    )


CARDS = (
    # this machine
    card("local/wren-0.6b-4bit", "tjVADR", 32_768, at="process", size=0.4),
    card("local/wren-8b-4bit", "tjVADr", 40_960, at="process", size=4.6),
    card("local/wren-eyes-7b-4bit", "TvADR", 32_768, at="process", size=4.5),
    card("local/wren-embedding", "e", 8_192, at="process", size=0.3),
    # a server in the house, which also forwards to a cloud
    card("attic/heron-30b-a3b", "tjVr", 131_072, at="lan"),
    card("attic/heron-4b", "tVR", 32_768, at="lan"),
    card("attic/heron-400b:cloud", "tjVr", 262_144, at="lan"),
    # sells its own models
    card("alpha/grand", "tjvdrA", 1_000_000, (15, 75)),
    card("alpha/middle", "tjvdrA", 400_000, (3, 15)),
    card("alpha/little", "tjvdRA", 200_000, (0.25, 1.25)),
    card("alpha/oracle", "tjvdr", 200_000, (20, 80), quirks=frozenset({"always_thinks"})),
    card("alpha/ear", "tjar", 128_000, (2.5, 10)),
    card("alpha/embed-large", "", 8_192, (0.1, 0)),
    # serves open models, cheaply
    card("beta/heron-70b", "tVR", 131_072, (0.6, 0.8)),
    card("beta/heron-8b", "tVR", 131_072, (0.05, 0.08)),
    card("beta/heron-405b", "tjVr", 131_072, (2.5, 3)),
    card("beta/coder-32b", "tjVR", 65_536, (0.2, 0.6)),
    card("beta/mystery", "", None),
    # tells little of its models
    card("gamma/quick-mini", "tj", 128_000, (0.15, 0.6)),
    card("gamma/thinker-x", "tr", 200_000, (2, 8)),
    card("gamma/story-12b", "TJ", 16_384, (0.1, 0.2)),
    card("gamma/ages-1m", "tj", 1_000_000, (1, 4)),
    card("gamma/unpriced-120b", "tjr", 131_072),
    card("gamma/rerank-2", "", 4_096, (0.01, 0)),
    card("gamma/tiny-1b", "T", 4_096, (0.02, 0.02)),
)
TOOL = Tool("look_up")
CALL = ToolCall("c1", "look_up", "{}")
PNG = image(b"\x89PNG\r\n\x1a\n0000")


def ask(*messages: Message, model: str = "osaurus/auto", **options: object) -> ChatRequest:
    return ChatRequest(model, messages or (user("What holds up a bridge?"),), **options)  # type: ignore[arg-type]


def plan(
    request: ChatRequest | None = None,
    *,
    mode: Mode | None = None,
    label: Label = "chat",
    work: Complexity = "medium",
    profile: Profile = AUTO,
    now: Situation = CALM,
    needs: Requirements | None = None,
    effort: Effort | None = None,
) -> Explanation:
    request = request or ask()
    route = replace(request.route, mode=mode or request.route.mode, requirements=needs or request.route.requirements)
    request = replace(request, route=route, reasoning_effort=effort or request.reasoning_effort)
    intent = Intent(label, 0.9, "unknown", 0.05, work, 0.8)
    return Planner(lambda _: intent).plan(request, CARDS, profile, now)


def chain(found: Explanation) -> list[str]:
    return [each.model for each in found.chosen]


def codes(found: Explanation) -> dict[str, str]:
    return {each.model: each.code for each in found.rejected}


HARD: dict[str, object] = {"work": "high"}
EASY: dict[str, object] = {"work": "low"}
STRICT = RouteOptions(strict_params=True)
LONG = user("word " * 240_000)

#: What it is about; what is asked, and how; who is asked, in order.
GOLDEN: list[tuple[str, dict[str, object], list[str]]] = [
    ("balanced, usual", {}, ["attic/heron-30b-a3b", "beta/heron-405b", "gamma/ages-1m"]),
    ("balanced, easy", {**EASY}, ["attic/heron-30b-a3b", "beta/heron-8b", "wren-eyes-7b-4bit"]),
    ("balanced, hard", {**HARD}, ["alpha/grand", "beta/heron-405b", "gamma/thinker-x"]),
    ("code", {"label": "code"}, ["attic/heron-30b-a3b", "beta/heron-405b", "alpha/middle"]),
    ("hard code", {"label": "code", **HARD}, ["alpha/grand", "beta/heron-405b", "gamma/thinker-x"]),
    ("fast, easy", {"mode": "fast", **EASY}, ["wren-0.6b-4bit", "attic/heron-4b", "gamma/tiny-1b"]),
    ("fast, hard", {"mode": "fast", **HARD}, ["attic/heron-30b-a3b", "alpha/grand", "beta/heron-405b"]),
    ("best", {"mode": "best"}, ["alpha/grand", "beta/heron-405b", "gamma/thinker-x"]),
    (
        "best, hard reasoning",
        {"mode": "best", "label": "reasoning", **HARD},
        ["alpha/grand", "beta/heron-405b", "attic/heron-400b:cloud"],
    ),
    ("realtime", {"mode": "realtime"}, ["wren-0.6b-4bit", "attic/heron-4b", "gamma/quick-mini"]),
    ("local first", {"mode": "local-first"}, ["wren-eyes-7b-4bit", "wren-0.6b-4bit", "beta/heron-70b"]),
    (
        "local first, a long chain",
        {"mode": "local-first", "profile": Profile("p", chain=6)},
        [
            "wren-eyes-7b-4bit",
            "attic/heron-30b-a3b",
            "wren-0.6b-4bit",
            "beta/heron-70b",
            "beta/heron-405b",
            "gamma/ages-1m",
        ],
    ),
    ("local strict", {"mode": "local-strict"}, ["attic/heron-30b-a3b", "wren-eyes-7b-4bit", "attic/heron-4b"]),
    (
        "local strict wins over the caller's mode",
        {"mode": "best", "profile": Profile("p", mode="local-strict")},
        ["attic/heron-30b-a3b", "wren-eyes-7b-4bit", "attic/heron-4b"],
    ),
    ("a picture", {"request": ask(user("What is this?", PNG))}, ["alpha/middle", "wren-eyes-7b-4bit", "alpha/grand"]),
    ("a picture, here", {"request": ask(user("What is this?", PNG)), "mode": "local-strict"}, ["wren-eyes-7b-4bit"]),
    (
        "a document",
        {"request": ask(user(Media("document", data=b"%PDF-1.7")))},
        ["alpha/middle", "alpha/grand", "alpha/oracle"],
    ),
    ("sound", {"request": ask(user(Media("audio", data=b"RIFF")))}, ["alpha/ear"]),
    ("tools offered", {"request": ask(tools=(TOOL,))}, ["attic/heron-30b-a3b", "beta/heron-405b", "gamma/ages-1m"]),
    (
        "tools in the history",
        {"request": ask(user("?"), assistant(CALL), tool_result(CALL, "4"))},
        ["attic/heron-30b-a3b", "beta/heron-405b", "gamma/ages-1m"],
    ),
    (
        "tools offered, not to be called",
        {"request": ask(tools=(TOOL,), tool_choice="none"), **EASY},
        ["attic/heron-30b-a3b", "beta/heron-8b", "wren-eyes-7b-4bit"],
    ),
    (
        "a schema",
        {"request": ask(response_format=ResponseFormat("json_schema", schema={}))},
        ["attic/heron-30b-a3b", "beta/heron-405b", "gamma/ages-1m"],
    ),
    (
        "a schema, no guesses",
        {"request": ask(response_format=ResponseFormat("json_schema", schema={}), route=STRICT)},
        ["attic/heron-30b-a3b", "beta/heron-405b", "gamma/ages-1m"],
    ),
    ("a long prompt", {"request": ask(LONG)}, ["alpha/grand", "gamma/ages-1m", "beta/mystery"]),
    (
        "a long answer",
        {"request": ask(sampling=Sampling(max_output_tokens=150_000))},
        ["attic/heron-400b:cloud", "alpha/grand", "gamma/ages-1m"],
    ),
    ("much thinking", {"effort": "high"}, ["attic/heron-30b-a3b", "beta/heron-405b", "alpha/middle"]),
    ("no thinking, best", {"effort": "none", "mode": "best"}, ["alpha/grand", "beta/heron-405b", "gamma/thinker-x"]),
    (
        "a price ceiling",
        {"mode": "best", "needs": Requirements(max_price=1.0)},
        ["beta/heron-70b", "attic/heron-30b-a3b", "wren-8b-4bit"],
    ),
    (
        "nothing may be paid",
        {"mode": "best", "needs": Requirements(max_price=0.0)},
        ["attic/heron-30b-a3b", "wren-8b-4bit", "wren-eyes-7b-4bit"],
    ),
    ("large ones", {"needs": Requirements(min_params_b=100)}, ["beta/heron-405b", "gamma/ages-1m", "alpha/middle"]),
    (
        "one provider",
        {"needs": Requirements(allow_providers=("gamma",))},
        ["gamma/ages-1m", "gamma/thinker-x", "gamma/story-12b"],
    ),
    (
        "not that provider",
        {"mode": "best", "needs": Requirements(deny_providers=("ALPHA",))},
        ["beta/heron-405b", "gamma/thinker-x", "attic/heron-400b:cloud"],
    ),
    (
        "one family",
        {"needs": Requirements(allow_models=("*heron*",))},
        ["attic/heron-30b-a3b", "beta/heron-405b", "beta/heron-70b"],
    ),
    (
        "a floor",
        {"mode": "fast", "profile": Profile("p", quality=0.85)},
        ["alpha/middle", "attic/heron-400b:cloud", "alpha/grand"],
    ),
    (
        "reasoning",
        {"mode": "fast", "needs": Requirements(reasoning=True)},
        ["attic/heron-30b-a3b", "gamma/quick-mini", "wren-8b-4bit"],
    ),
    (
        "a long context",
        {"mode": "fast", "needs": Requirements(long_context=True)},
        ["attic/heron-30b-a3b", "beta/heron-8b", "gamma/quick-mini"],
    ),
    (
        "little money",
        {"mode": "best", "now": Situation(budget_left_micro=5_000)},
        ["beta/heron-405b", "attic/heron-400b:cloud", "gamma/ages-1m"],
    ),
    (
        "a conversation stays",
        {"now": Situation(held="gamma/story-12b")},
        ["gamma/story-12b", "attic/heron-30b-a3b", "beta/heron-405b"],
    ),
    (
        "one is in memory",
        {"mode": "fast", **HARD, "now": Situation(resident=frozenset({"wren-8b-4bit"}))},
        ["attic/heron-30b-a3b", "alpha/grand", "wren-8b-4bit"],
    ),
    (
        "one fails often",
        {"mode": "best", "now": Situation(ejected=frozenset({"alpha"}))},
        ["beta/heron-405b", "gamma/thinker-x", "attic/heron-400b:cloud"],
    ),
    (
        "one rests",
        {"mode": "best", "now": Situation(wait=lambda card: 9.0 if card.id == "grand" else None)},
        ["alpha/oracle", "beta/heron-405b", "gamma/thinker-x"],
    ),
]


@pytest.mark.parametrize(("asked", "chosen"), [(each[1], each[2]) for each in GOLDEN], ids=[each[0] for each in GOLDEN])
def test_who_is_chosen(asked: dict[str, object], chosen: list[str]) -> None:
    """For what is asked and how, exactly these are asked, in this order."""
    found = plan(**asked)  # type: ignore[arg-type]

    assert chain(found) == chosen


def test_a_long_chain_goes_down_here_before_it_goes_up_elsewhere() -> None:
    """Local-first asks what is here, then smaller models here, then a cheap one elsewhere, and then any."""
    found = plan(mode="local-first", profile=Profile("p", chain=8))

    tiers = ["here" if model in LOCAL_NAMES else "elsewhere" for model in chain(found)]

    assert tiers == sorted(tiers, key=["here", "elsewhere"].index)
    assert len(tiers) == 8
    assert "wren-0.6b-4bit" in chain(found)


def test_going_out_is_said() -> None:
    """Where nobody here can answer, local-first says that it goes elsewhere."""
    found = plan(ask(user(Media("audio", data=b"RIFF"))), mode="local-first")

    assert chain(found) == ["alpha/ear"]
    assert "goes out to 'alpha/ear'" in found.warnings[0]


def test_reasons_are_kept() -> None:
    """What spoke for a model is told by name, and adds up to its score."""
    best = plan(ask(tools=(TOOL,)), mode="best", work="high").ranked[0]

    assert {term.name for term in best.terms} >= {"quality", "success", "tools", "thinking", "price"}
    assert best.score == sum(term.points for term in best.terms)


REFUSED = [
    ({"request": ask(user(PNG))}, "beta/heron-70b", "no_vision", "cannot see"),
    ({"request": ask(user(PNG))}, "gamma/thinker-x", "no_vision", "Nobody knows"),
    ({"request": ask(tools=(TOOL,))}, "gamma/tiny-1b", "no_tools", "cannot call tools"),
    ({"request": ask(LONG)}, "alpha/little", "context", "holds 200,000 tokens; the prompt has about 3"),
    ({"needs": Requirements(min_context=500_000)}, "alpha/middle", "context", "500,000 are demanded"),
    ({"needs": Requirements(min_context=5_000)}, "beta/mystery", "context", "Nobody knows how long"),
    ({"mode": "local-strict"}, "attic/heron-400b:cloud", "not_local", "hands questions on to a cloud"),
    ({"mode": "local-strict"}, "alpha/grand", "not_local", "from outside (cloud)"),
    ({"needs": Requirements(deny_models=("alpha/g*",))}, "alpha/grand", "denied", "A list denies"),
    ({"needs": Requirements(allow_providers=("beta",))}, "alpha/grand", "not_allowed", "not on the list"),
    ({"needs": Requirements(max_price=1)}, "alpha/middle", "price", "cost $15, and at most $1"),
    ({"needs": Requirements(max_price=1)}, "gamma/unpriced-120b", "price", "Nobody knows what it costs"),
    ({"needs": Requirements(min_params_b=50)}, "beta/coder-32b", "size", "about 32 billion"),
    ({"needs": Requirements(min_params_b=50)}, "gamma/quick-mini", "size", "Nobody knows how many"),
    ({"profile": Profile("p", quality=0.5)}, "gamma/tiny-1b", "quality", "0.50 is demanded"),
    ({"effort": "none"}, "alpha/oracle", "always_reasons", "cannot be switched off"),
    ({"now": Situation(wait=lambda _: 12.4)}, "alpha/grand", "resting", "asked again in 12 s"),
    ({"now": Situation(fits=lambda card: card.id != "wren-8b-4bit")}, "wren-8b-4bit", "memory", "does not fit"),
    ({"now": Situation(budget_left_micro=5_000)}, "alpha/grand", "budget", "$0.005"),
    ({}, "wren-embedding", "no_chat", "does not chat"),
    ({}, "gamma/rerank-2", "no_chat", "does not chat"),
]


@pytest.mark.parametrize(("asked", "model", "code", "said"), REFUSED)
def test_why_not(asked: dict[str, object], model: str, code: str, said: str) -> None:
    """Each refusal has a code that stays, a sentence with its figures, and what would flip it."""
    (refused,) = [each for each in plan(**asked).rejected if each.model == model]  # type: ignore[arg-type]

    assert refused.code == code
    assert said in refused.reason
    assert refused.remedy


def test_not_known_is_not_no() -> None:
    """A model of which nobody knows whether it calls tools may be asked, for a little less; under strict it may not."""
    asked = ask(tools=(TOOL,))

    usual, strict = plan(asked), plan(replace(asked, route=STRICT))

    (mystery,) = [each for each in usual.ranked if each.model == "beta/mystery"]
    assert {term.name: term.points < 0 for term in mystery.terms}["unknown"]
    assert codes(strict)["beta/mystery"] in {"no_tools", "context"}


def test_a_picture_that_is_only_spoken_of_needs_no_eyes() -> None:
    """What is needed is read from parts, never from words."""
    found = plan(ask(user("Describe the image and the audio in my report.pdf")))

    assert not {"vision", "audio", "documents"} & found.needs.keys()


def test_what_a_profile_demands_holds_whatever_its_caller_says() -> None:
    """Both lists have to admit a model; ceilings are the lower, floors the higher one."""
    held = Requirements(allow_providers=("alpha", "beta"), max_price=20, min_context=100_000)
    said = Requirements(allow_providers=("beta", "gamma"), max_price=100, min_context=50_000)

    found = plan(needs=said, profile=Profile("p", requirements=held))

    assert {each.provider for each in found.ranked} == {"beta"}
    assert (found.needs["max_price"], found.needs["min_context"]) == (20, 100_000)


def test_a_conversation_leaves_its_model_when_it_needs_what_that_cannot() -> None:
    """And the reason is told."""
    found = plan(ask(user(PNG)), now=Situation(held="gamma/story-12b"))

    assert found.sticky == "left 'gamma/story-12b': Nobody knows whether it can see pictures."


@pytest.mark.parametrize(
    ("held", "said"),
    [("alpha/gone", "It is not there any more."), ("alpha/grand", "Its provider fails more often than the others.")],
)
def test_why_a_conversation_left(held: str, said: str) -> None:
    """A model that is gone, or whose provider is to be asked last, does not keep a conversation."""
    found = plan(now=Situation(held=held, ejected=frozenset({"alpha"})))

    assert found.sticky == f"left '{held}': {said}"


def test_what_was_learnt_counts() -> None:
    """A model that fails falls behind, and one that people prefer comes forward."""
    bad, good = Record(success=0.1, calls=20), Record(success=0.95, liked=1.0, calls=20)
    records = {"attic/heron-30b-a3b": bad, "alpha/middle": good}

    before = [each.model for each in plan().ranked]
    after = [each.model for each in plan(now=Situation(record=lambda card, _: records.get(card.name))).ranked]

    assert before.index("attic/heron-30b-a3b") < 5 < after.index("attic/heron-30b-a3b")
    assert after.index("alpha/middle") < before.index("alpha/middle")


def test_what_is_told_beside_spares_questions() -> None:
    """With the troubled providers and the known names given, nobody else is asked about, and the plan is the same."""
    asked: list[str] = []

    def wait(card: ModelCard) -> float | None:
        asked.append(card.name)
        return 5.0 if card.provider == "alpha" else None

    def record(card: ModelCard, label: Label) -> Record | None:
        asked.append(card.name)
        return Record(0.2) if card.provider == "beta" else None

    known = [each.name for each in CARDS if each.provider == "beta"]
    whole = plan(now=Situation(wait=wait, record=record))
    asked.clear()

    spared = plan(now=Situation(wait=wait, record=record, troubled=frozenset({"alpha"}), known=known))

    assert spared == whole
    assert all(name.startswith(("alpha/", "beta/")) for name in asked)


def test_exploring_is_bounded() -> None:
    """It finds something out among near ones that cost not much more; never in a tool turn, or a held conversation."""
    usual = plan(label="code")

    tried = [plan(label="code", now=Situation(explore=drawn / 10)) for drawn in range(10)]
    turns = plan(ask(user("?"), assistant(CALL), tool_result(CALL, "4")), now=Situation(explore=0.5))
    held = plan(now=Situation(explore=0.5, held="alpha/middle"))

    top = usual.ranked[0].score
    bonus = 0.25
    assert all(each.ranked[0].score <= top + bonus for each in tried)
    assert all(each.exploring == (each.ranked[0].model != usual.ranked[0].model) for each in tried)
    assert not turns.exploring
    assert not held.exploring


def test_a_floor_refuses_no_good_model_for_a_price_that_nobody_told() -> None:
    """Where neither price nor size is known, only what looks small is refused; under strict, all of them are."""
    cards = (card("delta/wide", "tjr", 1_000_000), card("delta/wide-mini", "tjr", 1_000_000), card("delta/old", "t"))
    floor = Profile("p", quality=0.8)

    usual = Planner().plan(ask(), cards, floor)
    strict = Planner().plan(ask(route=STRICT), cards, floor)

    assert [each.model for each in usual.ranked] == ["delta/wide"]
    assert not strict.ranked


@pytest.mark.parametrize("id", ["warden-guard-8b", "page-ocr", "voice-realtime-mini", "arm-robotics-2"])
def test_who_was_made_for_something_else_is_not_chosen_to_chat(id: str) -> None:
    """Guards, readers of pages and the like may be named, and are no candidates."""
    found = Planner().plan(ask(), (card(f"delta/{id}", "tjr"),), AUTO)

    assert [each.code for each in found.rejected] == ["no_chat"]


def test_a_model_in_memory_need_not_fit_once_more() -> None:
    """Memory that a model takes itself is not held against it."""
    found = plan(mode="local-strict", now=Situation(resident=frozenset({"wren-8b-4bit"}), fits=lambda _: False))

    assert "wren-8b-4bit" in {each.model for each in found.ranked}
    assert codes(found)["wren-0.6b-4bit"] == "memory"


def test_one_question_with_two_intents_is_two_questions() -> None:
    """What is kept for one kind of question is not taken for another, and the weights' date is told."""
    intents = iter([Intent("chat", 0.9, "code", 0.05, work, 0.8) for work in ("low", "high", "low")])
    planner = Planner(lambda _: next(intents))

    low, high, again = (planner.plan(ask(), CARDS, AUTO) for _ in range(3))

    assert low == again
    assert low.ranked[0].model != high.ranked[0].model
    assert low.weights == version()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("work", ["low", "medium", "high", "unknown"])
def test_every_term_is_weighed(mode: Mode, work: Complexity) -> None:
    """The weights name each term once. A conversation outweighs all but a provider that fails; that outweighs all."""
    found = dict(zip(NAMES, weights(mode, work).values, strict=True))

    assert -found["ejected"] > sum(max(0.0, each) for each in found.values())
    assert found["held"] > sum(abs(each) for name, each in found.items() if name not in ("held", "ejected"))


def test_nobody_is_told_with_what_would_admit_one() -> None:
    """Demands that contradict each other end in an error: each model, why not, and all that would have to change."""
    needs = Requirements(min_context=2_000_000, allow_providers=("alpha",), deny_providers=("alpha",))

    found = plan(needs=needs, mode="local-strict")
    error = nobody(found)

    assert not found.ranked
    assert found.chain == 0
    assert {each.model for each in error.rejections} == {each.name for each in CARDS}
    assert "Each provider that is allowed (alpha) is denied too." in error.message
    assert all(each.remedy for each in error.rejections)
    assert "another mode" in next(each.remedy for each in error.rejections if each.model == "alpha/grand")
    assert "take it off" in next(each.remedy for each in error.rejections if each.model == "alpha/grand")


def test_nobody_at_all() -> None:
    """Without any model it is said how to get one."""
    found = Planner().plan(ask(), (), AUTO)

    assert "osaurus-nb pull" in nobody(found).message


LOCAL_NAMES = {each.name for each in CARDS if each.endpoint != "cloud" and not each.id.endswith(":cloud")}
