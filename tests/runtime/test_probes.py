"""A provider that nobody reaches is looked for by its list of models; no question is spent on finding out."""

from __future__ import annotations

import asyncio

import pytest

from osaurus_nb.errors import Unreachable
from osaurus_nb.events import fold
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import PLAIN
from osaurus_nb.request import ChatRequest, RouteOptions
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing import virtual_time
from osaurus_nb.testing.scripted import ScriptedAdapter, says


class Leaving(ScriptedAdapter):
    """Is there or not, for lists and questions alike."""

    there, lists = True, 0

    async def models(self):
        self.lists += 1
        if not self.there:
            raise Unreachable("gone", provider="lab")
        return [ModelCard("m", "lab")]

    async def stream(self, request, card, attempt):
        self.requests.append(request)
        if not self.there:
            raise Unreachable("gone", provider="lab")
        for event in says("lab"):
            yield event


def world(clock):
    lab = Leaving({"m": [says("lab")]}, provider="lab")
    return lab, Runtime([lab, ScriptedAdapter({"m": [says("spare")]}, provider="spare")], clock=clock)


async def ask(runtime: Runtime) -> str:
    request = ChatRequest("lab/m", (), route=RouteOptions(fallbacks=("spare/m",)))
    return fold([event async for event in runtime.stream(request, PLAIN)]).text


def test_while_it_is_gone_no_question_is_sent_there():
    """After the breaker opened, lists alone ask in ten minutes, later and later, and every question has its answer."""

    async def scenario(clock):
        lab, runtime = world(clock)
        await runtime.models()
        lab.there = False
        texts = [await ask(runtime) for _ in range(5)]
        asked, lists = len(lab.requests), lab.lists
        for _ in range(60):
            await asyncio.sleep(10)
            texts.append(await ask(runtime))
        more = len(lab.requests) - asked, lab.lists - lists
        await runtime.aclose()
        return texts, more

    texts, (questions, lists) = virtual_time.run(scenario)

    assert set(texts) == {"spare"}
    assert questions == 0
    assert 5 <= lists <= 30


def test_when_it_is_back_it_answers_again_soon():
    """Its list comes, the next question is the probe, and the breaker closes."""

    async def scenario(clock):
        lab, runtime = world(clock)
        await runtime.models()
        lab.there = False
        for _ in range(5):
            await ask(runtime)
        await asyncio.sleep(20)
        lab.there = True
        await asyncio.sleep(40)
        texts = [await ask(runtime) for _ in range(2)]
        [row] = [row for row in await runtime.status() if row.provider == "lab"]
        await runtime.aclose()
        return texts, row

    texts, row = virtual_time.run(scenario)

    assert texts == ["lab", "lab"]
    assert row.breaker.state == "closed"


def test_a_healthy_provider_gets_no_more_lists():
    """Nobody is asked only to find out that all is well."""

    async def scenario(clock):
        lab, runtime = world(clock)
        await runtime.models()
        before = lab.lists
        for _ in range(50):
            await ask(runtime)
            await asyncio.sleep(1)
        await runtime.aclose()
        return lab.lists - before

    assert virtual_time.run(scenario) == 0


@pytest.mark.parametrize("failures", [1, 4])
def test_a_few_failures_are_no_reason_to_look(failures):
    """Only where the breaker opened."""

    async def scenario(clock):
        lab, runtime = world(clock)
        await runtime.models()
        before, lab.there = lab.lists, False
        for _ in range(failures):
            await ask(runtime)
        await asyncio.sleep(1)
        await runtime.aclose()
        return lab.lists - before

    assert virtual_time.run(scenario) == 0
