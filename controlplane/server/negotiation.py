"""Which form a caller wants an answer in, and which form a body came in.

The server answers in JSON, or in YAML where only that is accepted. Accept can ask for a Table or for
metadata only. Who asks for protobuf or CBOR gets JSON, which clients that know those take; who takes
nothing of the kind is refused. Bodies may be JSON, YAML or protobuf.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

from controlplane.api import decode as decoding
from controlplane.api.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from controlplane.server import protobuf

Form = Literal["object", "table", "metadata", "discovery"]

JSON = "application/json"
LONG_YAML_BYTES = 32 << 10
YAML = ("application/yaml", "application/x-yaml", "text/yaml")

CBOR = "application/cbor"

ACCEPTED = f"{JSON}, {YAML[0]}, {protobuf.MEDIA_TYPE}"

ALIASED_VALUES = 100_000
"""How many values the aliases of a YAML text may add to those that its length allows."""

_MESSAGES = protobuf.Messages()

_FORMS: dict[str, Form] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
    "APIGroupDiscoveryList": "discovery",
}
_SERVED_VERSIONS = {"meta.k8s.io": ("v1", "v1beta1"), "apidiscovery.k8s.io": ("v2",)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A form and, for tables and metadata, the version of meta.k8s.io; whether it is to be in YAML."""

    form: Form = "object"
    version: str = "v1"
    yaml: bool = False
    served: bool = True

    def check(self) -> None:
        """NotAcceptable where the caller takes nothing that the server has."""
        if not self.served:
            raise NotAcceptable(f"only the following media types are accepted: {ACCEPTED}")


@lru_cache(maxsize=256)
def wanted(accept: str) -> Wanted:
    """The first alternative of an Accept header that the server has."""
    plain = None if accept.strip() else Wanted()
    for alternative in accept.split(","):
        media_type, *rest = (part.strip() for part in alternative.split(";"))
        if media_type in (protobuf.MEDIA_TYPE, CBOR):
            plain = plain or Wanted()
        if media_type not in (JSON, "application/*", "*/*", *YAML):
            continue
        yaml = media_type in YAML
        parameters = dict(part.partition("=")[::2] for part in rest)
        if "as" not in parameters:
            return Wanted(yaml=yaml)
        form, version = _FORMS.get(parameters["as"]), parameters.get("v", "")
        if form is not None and version in _SERVED_VERSIONS.get(parameters.get("g", ""), ()):
            return Wanted(form, version, yaml)
    return plain or Wanted(served=False)


def parse_body(body: bytes, content_type: str) -> Any:
    """The JSON value of a body in JSON, YAML or protobuf; UnsupportedMediaType for others."""
    if is_json(content_type):
        return decoding.parse(body)
    media_type = _media_type(content_type)
    if media_type == protobuf.MEDIA_TYPE:
        return _MESSAGES.decode(body)
    if media_type in YAML:
        return parse_yaml(body)
    raise UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
    )


async def read_body(body: bytes, content_type: str) -> Any:
    """As `parse_body`; what takes long is done in a thread."""
    media_type = _media_type(content_type)
    if media_type == protobuf.MEDIA_TYPE and not _MESSAGES.knows(body):
        return await asyncio.to_thread(_MESSAGES.decode, body)
    return await read_yaml(body) if media_type in YAML else parse_body(body, content_type)


async def read_yaml(body: bytes) -> Any:
    """As `parse_yaml`; a long text in a thread."""
    return parse_yaml(body) if len(body) < LONG_YAML_BYTES else await asyncio.to_thread(parse_yaml, body)


def is_json(content_type: str) -> bool:
    """Whether a body is JSON; it is when its sender does not say what it is."""
    return _media_type(content_type) in ("", JSON)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def to_yaml(data: bytes) -> bytes:
    """A JSON text as YAML."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: bytes = yaml.dump(
        orjson.loads(data), Dumper=dumper, encoding="utf-8", allow_unicode=True, default_flow_style=False
    )
    return text


def parse_yaml(body: bytes) -> Any:
    """The JSON value of a YAML text; BadRequest when it is none.

    A text in JSON is YAML too, and kubectl's server-side apply sends that.
    """
    if body.startswith(b"{"):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _plain(yaml.load(body, Loader=loader), [len(body) + ALIASED_VALUES])
    except yaml.YAMLError as error:
        raise BadRequest(f"error converting YAML to JSON: {error}") from error
    except RecursionError as error:
        raise BadRequest("error converting YAML to JSON: yaml: exceeded max depth") from error


def _plain(value: Any, left: list[int]) -> Any:
    """YAML values that JSON does not have, as Kubernetes reads them: keys and dates are strings.

    `left` holds how many values there may yet be: aliases of aliases make billions of a few lines.
    """
    left[0] -= 1
    if left[0] < 0:
        raise BadRequest("error converting YAML to JSON: yaml: document contains excessive aliasing")
    if isinstance(value, dict):
        return {_key(key): _plain(item, left) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, left) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)
