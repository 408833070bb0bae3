"""Each collection that docs/api.md says is served answers over HTTP, and JSON is laid out for people."""

from __future__ import annotations

import asyncio

import aiohttp

from workbench.conformity.upstream import operations


async def test_every_collection_is_listed_and_every_item_looked_up(session: aiohttp.ClientSession) -> None:
    paths = [one.path.replace("{namespace}", "default") for one in operations() if one.verb in ("list", "get")]
    looked_up = [path.replace("{name}", "nothing") for path in paths if path.count("/{name}") and path.endswith("}")]
    listed = [path for path in paths if "{" not in path and path.startswith(("/api/", "/apis/")) and path[-1] != "/"]

    async def answer(path: str) -> tuple[str, int, str]:
        async with session.get(path) as response:
            body = await response.json()
            return path, response.status, body.get("message", "")

    for path, status, message in await asyncio.gather(*(answer(path) for path in listed)):
        assert status == 200, (path, message)
    for path, status, message in await asyncio.gather(*(answer(path) for path in looked_up)):
        assert (status, message.endswith('"nothing" not found')) == (404, True), (path, message)


async def test_json_is_laid_out_on_request_and_for_curl(session: aiohttp.ClientSession) -> None:
    for headers, query, laid_out in (
        ({}, "", False),
        ({}, "?pretty=true", True),
        ({"User-Agent": "curl/8.5.0"}, "", True),
        ({"User-Agent": "curl/8.5.0"}, "?pretty=false", False),
    ):
        for path, status in (("/api/v1/namespaces/default", 200), ("/api/v1/namespaces/nothing", 404)):
            async with session.get(path + query, headers=headers) as response:
                text = await response.text()
                assert response.status == status
                assert text.startswith('{\n  "') is laid_out, (headers, query)
