"""One request and what goes with its answer: user, warnings, audit id, compression."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from controlplane.api.errors import ApiError
from controlplane.server.negotiation import JSON, YAML, Wanted, to_yaml, wanted
from controlplane.server.requests import ANONYMOUS, User
from controlplane.server.routes import Target

COMPRESS_FROM = 128 << 10
PIECES_FROM = 512 << 10
PIECE = 128 << 10
PEOPLE = ("curl", "Wget", "Mozilla/5.0")
"""Programs with which people read: upstream lays out JSON for them unasked."""
AGENT = "-"
WARNINGS_BOUND = 4096
"""Characters of all warnings of an answer; clients refuse heads that are too long."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Exchange:
    """A request being answered; `target` and `verb` are set as soon as they are known."""

    def __init__(self, request: web.BaseRequest, audit_id: str) -> None:
        self.request = request
        self.user: User = ANONYMOUS
        self.target: Target | None = None
        self.verb = ""
        self._audit_id = audit_id
        self._warnings: list[str] = []

    @property
    def wanted(self) -> Wanted:
        """The form that the caller wants."""
        return wanted(self.request.headers.get("Accept", ""))

    def accepts(self, media_types: Iterable[str]) -> bool:
        """Whether the caller names one of `media_types`."""
        named = {part.partition(";")[0].strip() for part in self.request.headers.get("Accept", "").split(",")}
        return not named.isdisjoint(media_types)

    def warn(self, text: str) -> None:
        """Adds a text that kubectl shows; each is sent once, and not more than fits into the head of an answer."""
        room = WARNINGS_BOUND - sum(map(len, self._warnings))
        if text not in self._warnings and room > 0:
            self._warnings.append(text[:room])

    def headers(self) -> CIMultiDict[str]:
        """What every answer carries."""
        headers = CIMultiDict({"Audit-Id": self._audit_id, "Cache-Control": "no-cache, private"})
        for text in self._warnings:
            quoted = _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
            headers.add("Warning", f'299 {AGENT} "{quoted}"')
        return headers

    async def answer(self, body: bytes, status: int = 200) -> web.StreamResponse:
        """A JSON body; a large one compressed, outside the loop, for callers who take that, else sent as it is read."""
        if self.wanted.yaml:
            return self.plain(await asyncio.to_thread(to_yaml, body), status, content_type=YAML[0])
        if self._pretty:
            body = _laid_out(body)
        if self._compresses(body):
            return self._zipped(await asyncio.to_thread(_gzip, body), status)
        if len(body) >= PIECES_FROM and self.request.method != "HEAD":
            return await self._in_pieces(body, status)
        return web.Response(body=body, status=status, headers=self.headers(), content_type=JSON)

    async def _in_pieces(self, body: bytes, status: int) -> web.StreamResponse:
        """Sends each piece when there is room for it: all at once would be kept twice more, for who does not read."""
        stream = web.StreamResponse(status=status, headers=self.headers())
        stream.content_type = JSON
        stream.content_length = len(body)
        await stream.prepare(self.request)
        view = memoryview(body)
        for start in range(0, len(body), PIECE):
            await stream.write(view[start : start + PIECE])
        await stream.write_eof()
        return stream

    def compressed(self, body: bytes, content_type: str = JSON) -> web.Response:
        """As `answer`, but compressed on the spot: for documents that a client asks for once."""
        if not self._compresses(body):
            return self.plain(body, content_type=content_type)
        return self._zipped(_gzip(body), 200, content_type)

    def plain(self, body: Any, status: int = 200, *, content_type: str = JSON) -> web.Response:
        """A document that is made on the spot; text when `content_type` says so."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        if content_type == JSON and self._pretty:
            data = _laid_out(data)
        return web.Response(body=data, status=status, headers=self.headers(), content_type=content_type)

    @property
    def _pretty(self) -> bool:
        """Whether a person is to read the answer."""
        if "pretty" in self.request.query_string:
            return self.request.query.get("pretty", "false") not in ("false", "0")
        return self.request.headers.get("User-Agent", "").startswith(PEOPLE)

    def _compresses(self, body: bytes) -> bool:
        return len(body) >= COMPRESS_FROM and "gzip" in self.request.headers.get("Accept-Encoding", "")

    def _zipped(self, body: bytes, status: int, content_type: str = JSON) -> web.Response:
        headers = self.headers()
        headers["Content-Encoding"] = "gzip"
        headers["Vary"] = "Accept-Encoding"
        return web.Response(body=body, status=status, headers=headers, content_type=content_type)

    def refuse(self, error: ApiError) -> web.Response:
        """The `Status` of an error."""
        headers = self.headers()
        seconds = (error.details or {}).get("retryAfterSeconds")
        if seconds:
            headers["Retry-After"] = str(seconds)
        data = orjson.dumps(error.status())
        body = _laid_out(data) if self._pretty else data
        return web.Response(body=body, status=error.code, headers=headers, content_type=JSON)


def _laid_out(data: bytes) -> bytes:
    return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()
