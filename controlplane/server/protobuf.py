"""Bodies in Kubernetes' protobuf, which kubectl sends since 1.33 for what it creates itself.

Only reading: answers are JSON, which these clients take too. The messages are compiled, when first
needed, from the struct tags of the installed kubectl (see `go_types`); without a kubectl, or with
one whose tags cannot be read, protobuf is refused as an unsupported media type.
"""

from __future__ import annotations

import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from controlplane.api.errors import BadRequest, UnsupportedMediaType
from controlplane.api.kinds import BODIES, SERVED
from controlplane.server import go_types
from controlplane.server.go_types import GoExecutable, GoField, GoTypesError
from controlplane.server.wire import Malformed, fields, signed

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DEPTH_BOUND = 100

_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
_TAG = re.compile(r'(\w+):"([^"]*)"')
_BYTE = 8

Decode = Callable[[Any, int], Any]
"""Takes a value off the wire (int or bytes) and the depth it is at."""


@dataclass(slots=True)
class Field:
    """One field of a message; `name` is "" where the message is inlined in JSON."""

    name: str
    decode: Decode
    repeated: bool = False
    is_map: bool = False
    omit_zero: bool = False


class Messages:
    """The messages of one kubectl, compiled as they are asked for."""

    def __init__(self, executable: Path | None = None) -> None:
        self._executable = executable
        self._roots: dict[tuple[str, str], dict[int, Field]] = {}
        self._compiled: dict[int, dict[int, Field]] = {}
        self._addresses: dict[tuple[str, str], int] | None = None
        self._reading = Lock()

    def knows(self, body: bytes) -> bool:
        """Whether `decode` has nothing to look up for this body; else it takes tens of milliseconds, in any thread."""
        try:
            return _wanted(*_identity(dict(fields(body[len(MAGIC) :])))) in self._roots
        except (Malformed, ValueError, AttributeError):
            return True

    def decode(self, body: bytes) -> dict[str, Any]:
        """The object in a protobuf body, in its JSON form; BadRequest when it is none."""
        if not body.startswith(MAGIC):
            raise BadRequest("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
        try:
            envelope = dict(fields(body[len(MAGIC) :]))
            version, kind = _identity(envelope)
            message = self._message(version, kind)
            return {"apiVersion": version, "kind": kind} | _decode(message, envelope.get(2, b""), 0)
        except (Malformed, ValueError, AttributeError, OverflowError) as error:
            raise BadRequest(f"the protobuf body cannot be decoded: {error}") from error

    def _message(self, version: str, kind: str) -> dict[int, Field]:
        wanted = _wanted(version, kind)
        found = self._roots.get(wanted)
        if found is not None:
            return found
        if wanted not in _KINDS:
            raise BadRequest(f'no kind "{kind}" is registered for version "{version}"')
        # What is in `_roots` is whole: others may read it while this is at work.
        with self._reading:
            found = self._roots.get(wanted)
            if found is None:
                found = self._roots[wanted] = self._read(wanted)
        return found

    def _read(self, wanted: tuple[str, str]) -> dict[int, Field]:
        try:
            with GoExecutable(self._executable or _find_kubectl()) as executable:
                if self._addresses is None:
                    self._addresses = {(package, name): at for package, name, at in executable.structs(_KINDS)}
                if wanted in self._addresses:
                    return self._compile(executable, self._addresses[wanted])
        except (GoTypesError, OSError) as error:
            raise UnsupportedMediaType(f"protobuf cannot be read: {error}; send JSON") from error
        raise UnsupportedMediaType(f"protobuf cannot be read: kubectl has no {wanted[1]}; send JSON")

    def _compile(self, executable: GoExecutable, address: int) -> dict[int, Field]:
        known = self._compiled.get(address)
        if known is not None:
            return known
        message: dict[int, Field] = {}
        self._compiled[address] = message
        for field in executable.fields(address):
            tags = dict(_TAG.findall(field.tag))
            number = tags.get("protobuf", "-").split(",")
            name, *flags = tags.get("json", "").split(",")
            if len(number) > 1 and name != "-":
                message[int(number[1])] = self._field(executable, field, name, "omitempty" in flags)
        return message

    def _field(self, executable: GoExecutable, field: GoField, name: str, omit_empty: bool) -> Field:
        type_ = field.type
        kind = executable.kind(type_)
        if kind == go_types.MAP:
            key = self._value(executable, executable.key(type_))
            element = executable.element(type_)
            value = self._value(executable, element)
            if executable.kind(element) == go_types.SLICE and executable.kind(executable.element(element)) != _BYTE:
                value = _items(self._value(executable, executable.element(element)))
            return Field(name, _entry(key, value), is_map=True)
        if kind == go_types.SLICE and executable.kind(executable.element(type_)) != _BYTE:
            return Field(name, self._value(executable, executable.element(type_)), repeated=True)
        return Field(name, self._value(executable, type_), omit_zero=omit_empty and kind != go_types.POINTER)

    def _value(self, executable: GoExecutable, type_: int) -> Decode:
        kind = executable.kind(type_)
        if kind == go_types.POINTER:
            return self._value(executable, executable.element(type_))
        if kind == go_types.STRUCT:
            special = _SPECIAL.get((executable.package(type_), executable.name(type_).partition(".")[2]))
            if special is not None:
                return special
            message = self._compile(executable, type_)
            return lambda value, depth: _decode(message, value, depth + 1)
        if kind == go_types.SLICE:
            return lambda value, depth: b64encode(value).decode()
        return _SCALARS.get(kind, _integer)


def _identity(envelope: dict[int, Any]) -> tuple[str, str]:
    """apiVersion and kind, which stand before the object."""
    identity = {number: value.decode() for number, value in fields(envelope.get(1, b""))}
    return identity.get(1, ""), identity.get(2, "")


def _wanted(version: str, kind: str) -> tuple[str, str]:
    return (_META if kind == "DeleteOptions" else _package(version), kind)


def _decode(message: dict[int, Field], data: bytes, depth: int) -> dict[str, Any]:
    if depth > DEPTH_BOUND:
        raise Malformed("nested too deeply")
    found: dict[str, Any] = {}
    for number, raw in fields(data):
        field = message.get(number)
        if field is None:
            continue
        value = field.decode(raw, depth)
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif field.is_map:
            found.setdefault(field.name, {}).update(value)
        elif not field.name:
            found.update(value)
        elif value is not None and not (field.omit_zero and value in ("", 0, False)):
            found[field.name] = value
    return found


def _entry(key: Decode, value: Decode) -> Decode:
    def decode(data: bytes, depth: int) -> dict[str, Any]:
        parts = dict(fields(data))
        return {key(parts.get(1, b""), depth): value(parts.get(2, b""), depth)}

    return decode


def _items(value: Decode) -> Decode:
    """A list as a map's value: a message of its own, whose field 1 repeats."""
    return lambda data, depth: [value(raw, depth) for _, raw in fields(data)]


def _text(value: bytes, _depth: int) -> str:
    return value.decode()


def _integer(value: Any, _depth: int) -> int:
    return signed(value) if isinstance(value, int) else 0


def _boolean(value: Any, _depth: int) -> bool:
    return value not in (0, b"")


def _float(value: float, _depth: int) -> float:
    return value


def _quantity(data: bytes, _depth: int) -> str:
    return next((raw.decode() for number, raw in fields(data) if number == 1), "0")


def _time(layout: str) -> Decode:
    def decode(data: bytes, _depth: int) -> str | None:
        parts = dict(fields(data))
        if not parts:
            return None
        seconds, nanoseconds = signed(parts.get(1, 0)), signed(parts.get(2, 0))
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000).strftime(layout)

    return decode


def _int_or_string(data: bytes, _depth: int) -> int | str:
    parts = dict(fields(data))
    if parts.get(1, 0):
        text: str = parts.get(3, b"").decode()
        return text
    return signed(parts.get(2, 0))


def _raw_json(data: bytes, _depth: int) -> Any:
    raw = next((raw for number, raw in fields(data) if number == 1), b"")
    return orjson.loads(raw) if raw else None


_SCALARS: dict[int, Decode] = {
    go_types.STRING: _text,
    go_types.BOOL: _boolean,
    **dict.fromkeys(go_types.FLOATS, _float),
}
_SPECIAL: dict[tuple[str, str], Decode] = {
    ("k8s.io/apimachinery/pkg/api/resource", "Quantity"): _quantity,
    ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString"): _int_or_string,
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension"): _raw_json,
    (_META, "FieldsV1"): _raw_json,
    (_META, "Time"): _time("%Y-%m-%dT%H:%M:%SZ"),
    (_META, "MicroTime"): _time("%Y-%m-%dT%H:%M:%S.%fZ"),
}


def _package(version: str) -> str:
    """The Go package of a group and version."""
    group, _, number = version.rpartition("/")
    return f"k8s.io/api/{group.partition('.')[0] or 'core'}/{number}"


_KINDS = {(_package(kind.api_version), kind.name) for kind in (*SERVED, *BODIES)} | {(_META, "DeleteOptions")}
"""What is looked for, all of it at once: a scan of the executable takes long, and no body causes a second."""


def _find_kubectl() -> Path:
    """The kubectl that was installed with netsim, else the one on PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = beside if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise GoTypesError("kubectl is not installed")
    return Path(found)
