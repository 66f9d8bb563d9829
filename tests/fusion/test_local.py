"""Fusion with three small models of this machine, for real."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.events import fold
from osaurus_nb.messages import user
from osaurus_nb.request import ChatRequest, RouteOptions, Sampling
from osaurus_nb.routing.choosing import Chooser
from osaurus_nb.routing.health import Health
from osaurus_nb.routing.profiles import Profiles
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing import tiny_models
from tests.local.workers import serving

pytestmark = [pytest.mark.anyio, pytest.mark.model]


async def test_three_small_models_of_this_machine_make_a_panel(tmp_path: Path):
    """They answer, one of them judges, and the answer streams; nothing leaves the machine and nothing costs."""
    folders = [tiny_models.make_random(tmp_path / f"tiny-{n}", seed=n, context=16_384) for n in range(3)]
    sampling = Sampling(max_output_tokens=12, temperature=0.0)
    route = RouteOptions(mode="local-strict")
    request = ChatRequest("osaurus/fusion", (user("What is high?"),), sampling=sampling, route=route)

    async with serving(*folders) as adapter:
        runtime = Runtime([adapter], chooser=Chooser(Health(), Profiles()))
        answer = fold([event async for event in runtime.stream(request)])

    assert answer.error is None, answer.error
    assert answer.panel is not None
    assert {one.model for one in answer.panel.panelists} == {"tiny-0", "tiny-1", "tiny-2"}
    assert all(one.text for one in answer.panel.panelists if one.outcome == "answered")
    assert answer.finish_reason in ("stop", "length")
