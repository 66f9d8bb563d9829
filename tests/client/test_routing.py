"""Asking by profile, mode and demand; who answered and why is on the Reply, and can be had without asking."""

from __future__ import annotations

import re

import pytest

from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import LocalOnly, NoEligibleModel, OsaurusError, RequestError, Unavailable
from osaurus_nb.explained import Explained
from osaurus_nb.options import ChatOptions
from osaurus_nb.routes import MODES, Explanation, Ranked, Rejected, Requirements, Term
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import Script, ScriptedAdapter, says

EXPLANATION = Explanation(
    "osaurus/auto",
    profile="auto",
    intent="code",
    second="refactor",
    confidence=0.9,
    complexity="low",
    needs={"tools": True, "min_context": 32_000},
    ranked=(Ranked("lab/<b>a</b>", "lab", 1.5, (Term("quality", 0.5, 2.0), Term("price", 1.0, -0.25))),),
    rejected=(Rejected("lab/c", "vision", "It sees no pictures.", "Leave the picture out."),),
    chain=1,
    warnings=("Careful.",),
)


def adapter(**scripts: list[Script]) -> ScriptedAdapter:
    return ScriptedAdapter(scripts or {"a": [says("Hello")], "b": [says("Hello from b")]}, provider="lab")


def client(asked: ScriptedAdapter) -> Client:
    return Client(backend=Runtime([asked], chooser=Chooser(Health(), Profiles())), model="lab/a")


@pytest.mark.parametrize("options", [{"model": "osaurus/auto"}, {"model": "auto"}, {"profile": "auto"}])
def test_a_profile_chooses_and_the_reply_says_who_and_why(options: ChatOptions) -> None:
    """However it is named; the footer tells whose choice it was, and `route` the reasons."""
    reply = client(adapter()).chat("hi", **options)

    assert reply.route is not None
    assert reply.route.by == "osaurus/auto"
    assert reply.route.chosen[0].model == f"lab/{reply.model}"
    assert reply.footer.startswith(f"lab: {reply.model} · by osaurus/auto · ")
    assert reply.text


def test_what_is_explained_is_what_happens() -> None:
    """The same choice, and nobody was asked for it."""
    scripted = adapter()
    asking = client(scripted)

    explained = asking.explain("Refactor this function", profile="auto", mode="best")
    asked = list(scripted.requests)
    reply = asking.chat("Refactor this function", profile="auto", mode="best")

    assert asked == []
    assert reply.route is not None
    assert [row.model for row in explained.chosen] == [row.model for row in reply.route.chosen]
    assert (explained.mode, explained.intent) == ("best", reply.route.intent)


@pytest.mark.anyio
async def test_the_async_client_explains_too() -> None:
    """The same call, awaited."""
    asking = AsyncClient(backend=Runtime([adapter()], chooser=Chooser(Health(), Profiles())))

    assert (await asking.explain("hi", profile="auto")).chosen


def test_a_model_that_was_named_needs_no_reasons() -> None:
    """Nothing was chosen, and that is said."""
    asking = client(adapter())

    assert asking.chat("hi").route is None
    assert "'lab/a' answers: it was named." in str(asking.explain("hi"))


def test_who_failed_before_is_named() -> None:
    """Each hop is visible: in the footer, and under the answer."""
    down: Script = [Unavailable("It fell over.", provider="lab")]
    fast = {"deny_models": ["lab/b"]}
    chosen = client(adapter(a=[down], b=[says("Hello")])).chat(
        "hi", profile="auto", requirements=fast, fallbacks=["lab/b"]
    )
    named = client(adapter(a=[down], b=[says("Hello")])).chat("hi", fallbacks=["lab/b"])

    assert chosen.footer.startswith("lab: b · by osaurus/auto · ")
    assert named.footer.startswith("lab: b instead of lab/a · ")
    for reply in (chosen, named):
        assert reply.failures == ("'lab/a' did not answer: It fell over.",)
        assert "&#x27;lab/a&#x27; did not answer: It fell over." in reply._repr_mimebundle_()["text/html"]


def test_options_are_what_the_request_carries() -> None:
    """Words of a caller become the options of the route; demands may be a mapping or the value itself."""
    scripted = adapter()
    wanted = Requirements(deny_models=("lab/b",))

    client(scripted).chat("hi", profile="auto", mode="fast", requirements={"denyModels": ["lab/b"]}, turn="t1")
    client(scripted).chat("hi", profile="auto", requirements=wanted, resume="marked", explain=True)

    first, second = (request.route for request in scripted.requests)
    assert (first.mode, first.profile, first.turn, first.requirements) == ("fast", "auto", "t1", wanted)
    assert (second.requirements, second.resume, second.explain) == (wanted, "marked", True)


@pytest.mark.parametrize(
    ("options", "param", "named"),
    [
        ({"mode": "cheapest"}, "mode", MODES),
        ({"profile": "nobody"}, "profile", ("auto", "frontier", "coding-max")),
        ({"requirements": {"telepathy": True}}, "requirements.telepathy", ("vision", "min_context")),
        ({"resume": "always"}, "resume", ("off", "marked")),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    options: ChatOptions, param: str, named: tuple[str, ...]
) -> None:
    """An error before anybody is asked, with the names that exist."""
    with pytest.raises(RequestError) as refused:
        client(adapter()).chat("hi", **options)

    assert refused.value.param == param
    assert all(name in str(refused.value) for name in named)


@pytest.mark.parametrize("options", [{"profile": "auto"}, {"model": "lab/a"}, {"model": "lab/a", "mode": "best"}])
def test_what_is_private_goes_to_no_stranger(options: ChatOptions) -> None:
    """Whatever else is said: no model here is one of this machine, so nobody is asked."""
    scripted = adapter()

    with pytest.raises((LocalOnly, NoEligibleModel)):
        client(scripted).chat("hi", **options, private=True)

    assert scripted.requests == []


def test_vectors_and_decisions_may_be_private_too() -> None:
    """They go to no stranger either."""
    scripted = ScriptedAdapter({"a": [says("yes")]}, embeds=["e"], provider="lab")
    asking = client(scripted)

    for ask in (
        lambda: asking.embed("hi", model="lab/e", private=True),
        lambda: asking.decide("hi", {"spam": "Is it spam?"}, model="lab/a", private=True),
    ):
        with pytest.raises(OsaurusError) as refused:
            ask()
        assert isinstance(refused.value, LocalOnly)
    assert (scripted.requests, scripted.embedded) == ([], [])


def test_an_explanation_shows_itself() -> None:
    """Who, why, who not, and what would admit them: as text, and as tables in which nothing can run."""
    shown = Explained.of(EXPLANATION)._repr_mimebundle_()

    plain = re.sub(r" +", " ", shown["text/plain"])
    assert "'lab/<b>a</b>' answers by osaurus/auto · mode balanced · intent code or refactor (90%)" in plain
    assert "needs tools, min context 32,000" in plain
    assert "1 lab/<b>a</b> 1.50 quality +1.00, price -0.25" in plain
    assert "lab/c It sees no pictures. Leave the picture out." in plain
    assert "Careful." in plain
    assert "<b>a" not in shown["text/html"]
    assert "Careful." in shown["text/html"]
    assert repr(Explained.of(EXPLANATION)) == "<Explanation of 'osaurus/auto': lab/<b>a</b>; 1 rejected>"


def test_nobody_is_a_choice_that_is_explained() -> None:
    """Each model says why it was refused and what would admit it; nothing is raised for asking about it."""
    explained = client(adapter()).explain("hi", profile="auto", requirements={"deny_providers": ["*"]})

    assert not explained.chosen
    assert {row.model for row in explained.rejected} == {"lab/a", "lab/b"}
    assert "Nobody may answer by osaurus/auto" in str(explained)
