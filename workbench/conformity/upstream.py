"""The operations of upstream's API, as the installed `kubernetes` client was generated from them.

Each method of the client names its path, HTTP method, query parameters and media types in plain
code; that text is read here, and nothing of the client is imported: it would take seconds.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

CLIENT = "kubernetes"

_FUNCTION = re.compile(r"\n    def _(\w+)_serialize\(")
_PATH = re.compile(r"resource_path='([^']*)'")
_METHOD = re.compile(r"method='([A-Z]+)'")
_QUERY = re.compile(r"_query_params\.append\(\('([^']+)'")
_MEDIA = re.compile(r"'(application/[^']*patch[^']*)'")
_VERSIONED = re.compile(r"/(?:api|apis/[^/]+)/(v\d+)/")

_VERBS = {
    "read": "get",
    "replace": "update",
    "list": "list",
    "create": "create",
    "patch": "patch",
    "delete_collection": "deletecollection",
    "delete": "delete",
}
_CONNECTED = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Operation(NamedTuple):
    """One method on one path: the verb that roles name it by, query parameters, media types of patches."""

    path: str
    method: str
    verb: str
    query: frozenset[str]
    patches: tuple[str, ...]


def client_version() -> str:
    """The version of the installed client."""
    return version(CLIENT)


def operations() -> list[Operation]:
    """Everything stable that the client knows, by path and method; alpha and beta are off by default upstream.

    HEAD and OPTIONS, which only proxies have and no verb names, are left out.
    """
    found = {}
    for text in _sources():
        starts = [*_FUNCTION.finditer(text)]
        for index, start in enumerate(starts):
            end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
            operation = _operation(start[1], text[start.end() : end])
            if operation is not None:
                found[operation.path, operation.method] = operation
    return [found[key] for key in sorted(found)]


def _sources() -> Iterator[str]:
    spec = importlib.util.find_spec(CLIENT)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{CLIENT} is not installed", name=CLIENT)
    folder = Path(spec.submodule_search_locations[0]) / "client" / "api"
    for file in sorted(folder.glob("*_api.py")):
        if file.name != "custom_objects_api.py" and not re.search(r"v\d+(alpha|beta)\d+_api", file.name):
            yield file.read_text()


def _operation(name: str, body: str) -> Operation | None:
    path, method = _PATH.search(body), _METHOD.search(body)
    if path is None or method is None:
        return None
    verb = _verb(name, method[1])
    if not verb or ("{" in path[1] and not _VERSIONED.match(path[1])):
        return None
    return Operation(path[1], method[1], verb, frozenset(_QUERY.findall(body)), tuple(_MEDIA.findall(body)))


def _verb(name: str, method: str) -> str:
    verb = next((verb for prefix, verb in _VERBS.items() if name.startswith(f"{prefix}_")), "")
    if verb == "delete" and name.startswith("delete_collection"):
        return "deletecollection"
    return verb or _CONNECTED.get(method, "")
