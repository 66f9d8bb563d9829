"""Lists of models as providers give them: in pages, broken, missing, and with the ids that the user added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import errors
from osaurus_nb.assembly import ConfiguredSources
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.config.settings import Settings
from osaurus_nb.providers.discovery import MAX_PAGES
from tests.providers.listing import ListServer, serving

pytestmark = pytest.mark.anyio


async def ids(home: Path, server: ListServer, **options: Any) -> list[str]:
    """What a provider at this server lists."""
    ProviderFile(Paths(home)).add("lab", url=f"{server.url}/v1", **options)
    sources = ConfiguredSources(Settings(Paths(home)), {})
    try:
        return [card.id for card in await sources.current()["lab"].models()]
    finally:
        await sources.aclose()


async def test_a_list_of_anthropic_goes_on_after_its_last_id(tmp_path: Path) -> None:
    """Until there is no more; the token is quoted."""
    async with serving() as server:
        server.answers["/v1/models?limit=1000"] = (200, {"data": [{"id": "a/b"}], "has_more": True, "last_id": "a/b"})
        rest = {"data": [{"id": "c"}, {"no": "id"}], "has_more": False, "last_id": "c"}
        server.answers["/v1/models?limit=1000&after_id=a%2Fb"] = (200, rest)

        assert await ids(tmp_path, server, format="anthropic") == ["a/b", "c"]
        assert len(server.asked) == 2


async def test_a_list_of_gemini_goes_on_with_its_token(tmp_path: Path) -> None:
    """A model that two pages name is there once."""
    async with serving() as server:
        first = {"models": [{"name": "models/a"}], "nextPageToken": "t=1"}
        server.answers["/v1/models?pageSize=1000"] = (200, first)
        server.answers["/v1/models?pageSize=1000&pageToken=t%3D1"] = (
            200,
            {"models": [{"name": "models/a"}, {"name": "models/b"}]},
        )

        assert await ids(tmp_path, server, format="gemini") == ["a", "b"]


async def test_a_list_that_goes_in_circles_ends(tmp_path: Path) -> None:
    """The same token twice is the end; ever new ones end too."""
    async with serving() as server:
        server.otherwise = (200, {"models": [{"name": "models/a"}], "nextPageToken": "again"})

        assert await ids(tmp_path, server, format="gemini") == ["a"]
        assert len(server.asked) == 2 < MAX_PAGES


async def test_ids_of_the_user_join_the_list(tmp_path: Path) -> None:
    """Trimmed, once each, in the provider's spelling where it lists them."""
    async with serving("Listed") as server:
        assert await ids(tmp_path, server, models=["listed", "mine ", "Mine", "other"]) == ["Listed", "mine", "other"]


@pytest.mark.parametrize("status", [400, 404, 405, 406, 410, 415, 422, 501])
async def test_without_a_list_the_users_ids_are_one(tmp_path: Path, status: int) -> None:
    """Many servers answer questions but list nothing."""
    async with serving() as server:
        server.answers["/v1/models"] = (status, {"error": "no"})

        assert await ids(tmp_path, server, models=["mine"]) == ["mine"]


@pytest.mark.parametrize("body", [b"<html></html>", {"odd": 1}, b"nothing"])
async def test_an_odd_list_is_as_good_as_none(tmp_path: Path, body: Any) -> None:
    """A page or another shape: the user's ids count."""
    async with serving() as server:
        server.answers["/v1/models"] = (200, body)

        assert await ids(tmp_path, server, models=["mine"]) == ["mine"]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, errors.CredentialRejected), (403, errors.CredentialRejected), (500, errors.Unavailable)]
)
async def test_a_refused_key_is_no_missing_list(tmp_path: Path, status: int, kind: type[errors.OsaurusError]) -> None:
    """Ids of the user hide neither a wrong key nor a server that fails."""
    async with serving() as server:
        server.answers["/v1/models"] = (status, {})

        with pytest.raises(kind):
            await ids(tmp_path, server, models=["mine"])


async def test_a_bad_row_loses_no_list(tmp_path: Path) -> None:
    """Rows that are no models are left out."""
    async with serving() as server:
        rows = [{"id": "good"}, {"id": 7}, "x", None, {"id": " "}, {}]
        server.answers["/v1/models"] = (200, {"data": rows})

        assert await ids(tmp_path, server) == ["good"]


async def test_the_list_is_there_within_the_providers_timeout(tmp_path: Path) -> None:
    """It is total: pages that come one by one do not extend it."""
    async with serving() as server:
        server.answers["/v1/models?pageSize=1000"] = (200, {"models": [], "nextPageToken": "x"})
        server.delay = 0.7
        with pytest.raises(errors.TooSlow):
            await ids(tmp_path, server, format="gemini", timeout=1)
