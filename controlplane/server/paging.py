"""Pages of a list: `limit` and `continue` over one consistent snapshot.

The token holds the revision of the snapshot and the key after which the next page starts. Later
pages are made by undoing what the store's history knows; when it no longer does, Expired.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any

import orjson

from controlplane.api.errors import BadRequest, Expired, TimedOut
from controlplane.server.requests import ListOptions
from controlplane.server.watching import EVERYTHING, Selection
from controlplane.store import Revision, Store

PRESENT = -1
"""The snapshot of a token that goes on with what is there now, whatever has changed since the first page."""

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of one snapshot. `remaining` is None where a selection makes it unknown, or nothing remains."""

    revisions: list[Revision]
    resource_version: int
    continue_token: str = ""
    remaining: int | None = None


def page(store: Store, resource: str, namespace: str, selection: Selection, options: ListOptions) -> Page:
    """The page that `options` asks for; BadRequest for a token or version that is none."""
    number, start = _position(store, options)
    found = (
        store.objects(resource, namespace)
        if number == store.revision
        else store.objects_at(resource, namespace, number)
    )
    if start is not None:
        found = [one for one in found if (one.key.namespace, one.key.name) > start]
    if not options.limit:
        return Page([one for one in found if selection.takes(one)] if selection is not EVERYTHING else found, number)
    taken: list[Revision] = []
    for index, one in enumerate(found):
        if len(taken) == options.limit:
            last = taken[-1].key
            token = _token(number, (last.namespace, last.name))
            return Page(taken, number, token, len(found) - index if selection is EVERYTHING else None)
        if selection.takes(one):
            taken.append(one)
    return Page(taken, number)


def parse_version(text: str) -> int:
    """The revision that a resourceVersion names; BadRequest when it is none."""
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _position(store: Store, options: ListOptions) -> tuple[int, tuple[str, str] | None]:
    if options.continue_token:
        if options.resource_version not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        return _continued(store, options.continue_token)
    number = parse_version(options.resource_version) if options.resource_version else 0
    if number > store.revision:
        raise _too_large(number, store.revision)
    return number if options.resource_version_match == "Exact" else store.revision, None


def _continued(store: Store, token: str) -> tuple[int, tuple[str, str]]:
    number, after = _parse_token(token)
    if number == PRESENT:
        return store.revision, after
    if number < store.oldest:
        error = Expired(TOO_OLD)
        error.continue_token = _token(PRESENT, after)
        raise error
    return number, after


def _too_large(number: int, present: int) -> TimedOut:
    """Of a version that is yet to come; upstream waits three seconds for it first."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return TimedOut(
        f"Too large resource version: {number}, current: {present}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def _token(number: int, after: tuple[str, str]) -> str:
    return urlsafe_b64encode(orjson.dumps({"v": 1, "rv": number, "after": after})).decode().rstrip("=")


def _parse_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        parsed: Any = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = parsed["after"]
        return int(parsed["rv"]), (str(namespace), str(name))
    except (Base64Error, ValueError, KeyError, TypeError) as error:
        raise BadRequest("continue key is not valid: it is no token of this server") from error
