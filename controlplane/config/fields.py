"""Typed reading of YAML fields, where each complaint names file, line, field and what is allowed.

Works on the nodes that PyYAML composes, not on constructed objects: only the nodes know their lines.
It knows nothing of clusters; `parse` does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

import yaml

from controlplane.config.errors import ConfigError
from controlplane.config.names import LABEL, LABEL_ALLOWED

_SCALARS = {"str": "a string", "int": "a number", "float": "a fraction", "bool": "a boolean", "null": "nothing"}


@dataclass(frozen=True, slots=True)
class Field:
    """One node of the document with its path ("spec.network.mtu") and the file's name."""

    node: yaml.Node
    path: str
    file: str

    @property
    def where(self) -> str:
        """ "file:line" of this field."""
        return f"{self.file}:{self.node.start_mark.line + 1}"

    def refuse(self, allowed: str, *, found: str | None = None) -> ConfigError:
        """The error that says what is here and what could be."""
        return ConfigError(where=self.where, path=self.path, found=found or f"found {self._shown()}", allowed=allowed)

    def mapping(self, allowed: Sequence[str]) -> dict[str, Field]:
        """The fields of a mapping, all of them among `allowed`; a field that is null is as if absent."""
        fields: dict[str, Field] = {}
        for key, field in self._pairs("a mapping with " + ", ".join(allowed)):
            if key in fields:
                raise field.refuse("write each field once", found=f"the field {key} is there twice")
            if key not in allowed:
                raise field.refuse(_nearest(key, allowed), found=f"unknown field {key!r}")
            fields[key] = field
        return {key: field for key, field in fields.items() if field._kind() != "null"}

    def string_map(self) -> dict[str, str]:
        """A mapping of any keys to strings."""
        return {key: field.string() for key, field in self._pairs("a mapping of strings")}

    def entries(self, pattern: str) -> dict[str, Field]:
        """The fields of a mapping whose keys are the user's own, each matching `pattern`."""
        found = dict(self._pairs("a mapping"))
        for key, field in found.items():
            if re.fullmatch(pattern, key) is None:
                raise field.refuse("allowed is a name that matches " + pattern, found=f"found {key!r}")
        return found

    def items(self, allowed: str) -> list[Field]:
        """The items of a list, each with its index in the path."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.refuse(f"allowed is {allowed}")
        return [Field(item, f"{self.path}[{index}]", self.file) for index, item in enumerate(self.node.value)]

    def string(self, pattern: str | None = None, *, allowed: str = "allowed is a string") -> str:
        """A string, matching `pattern` as a whole if there is one."""
        if self._kind() != "str" or (pattern is not None and re.fullmatch(pattern, self.node.value) is None):
            raise self.refuse(allowed)
        return str(self.node.value)

    def label(self) -> str:
        """A name as DNS labels are."""
        return self.string(LABEL, allowed=LABEL_ALLOWED)

    def labels(self, allowed: str) -> tuple[str, ...]:
        """A list of such names."""
        return tuple(item.label() for item in self.items(allowed))

    def plain(self) -> Any:
        """The value as it is written: objects, lists, texts and numbers."""
        return yaml.safe_load(yaml.serialize(self.node, Dumper=yaml.SafeDumper))

    def boolean(self) -> bool:
        """true or false."""
        if self._kind() != "bool":
            raise self.refuse("allowed is true or false")
        return str(self.node.value).lower() in ("true", "yes", "on")

    def choice(self, choices: Sequence[str]) -> str:
        """One of `choices`."""
        if self._kind() != "str" or self.node.value not in choices:
            raise self.refuse("allowed is " + " or ".join(choices))
        return str(self.node.value)

    def is_integer(self) -> bool:
        """Whether a whole number is written here."""
        return self._kind() == "int"

    def integer(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        allowed = f"allowed is a whole number from {least} to {most}"
        if not self.is_integer():
            raise self.refuse(allowed)
        value = int(yaml.safe_load(self.node.value))
        if not least <= value <= most:
            raise self.refuse(allowed)
        return value

    def address(self) -> IPv4Address:
        """An IPv4 address."""
        text = self.string(allowed="allowed is an IPv4 address as 127.0.0.1")
        try:
            return IPv4Address(text)
        except AddressValueError as error:
            raise self.refuse("allowed is an IPv4 address as 127.0.0.1") from error

    def network(self, shortest: int, longest: int) -> IPv4Network:
        """An IPv4 range in CIDR notation whose prefix length is from `shortest` to `longest`."""
        allowed = f"allowed is an IPv4 range from /{shortest} to /{longest} as 10.128.0.0/20"
        text = self.string(r"[0-9.]+/[0-9]+", allowed=allowed)
        try:
            network = IPv4Network(text, strict=False)
        except (AddressValueError, NetmaskValueError) as error:
            raise self.refuse(allowed) from error
        if str(network) != text:
            raise self.refuse(f"the host bits must be zero: write {network}")
        if not shortest <= network.prefixlen <= longest:
            raise self.refuse(allowed)
        return network

    def _pairs(self, allowed: str) -> list[tuple[str, Field]]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.refuse(f"allowed is {allowed}")
        prefix = f"{self.path}." if self.path else ""
        pairs = []
        for key, value in self.node.value:
            name = str(key.value)
            marked = value if value.start_mark.line == key.start_mark.line else _at(value, key.start_mark)
            pairs.append((name, Field(marked, prefix + name, self.file)))
        return pairs

    def _kind(self) -> str:
        return str(self.node.tag).rpartition(":")[2]

    def _shown(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            kind = _SCALARS.get(self._kind(), self._kind())
            return f"{self.node.value!r}" if self._kind() == "str" else f"{self.node.value} ({kind})".lstrip()
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"


def refuse_twice(items: Sequence[Field], names: Sequence[str]) -> None:
    """Raises ConfigError for the first item whose name another has before it."""
    for index, name in enumerate(names):
        if name in names[:index]:
            raise items[index].refuse("give each its own name", found=f"the name {name} is there twice")


def _at(node: yaml.Node, mark: yaml.Mark) -> yaml.Node:
    """The node, said to start where its key does: that is the line a person looks for."""
    node.start_mark = mark
    return node


def _nearest(name: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}allowed is {', '.join(allowed)}"
