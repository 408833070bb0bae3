"""Reads Go struct types out of an executable: their fields, tags and types.

The Kubernetes types carry their protobuf field numbers in struct tags, and Go keeps struct tags in
the executable for reflection. kubectl is installed with netsim, so the numbers of exactly its
version are there to be read, and no table of them has to be kept here. The layout is that of the
runtime's `abi.Type` (Go 1.20 to 1.26, 64 bit, little endian); anything unexpected is a `GoTypesError`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POINTER, SLICE, MAP, STRUCT, STRING, BOOL = 22, 23, 21, 25, 24, 1
INTEGERS = range(2, 13)
FLOATS = (13, 14)

_KIND_MASK = 31
_UNCOMMON, _EXTRA_STAR = 1, 2
_TYPE_SIZE = 48
_STRUCT_SIZE = 80
_KIND_OFFSET, _TFLAG_OFFSET, _NAME_OFFSET = 23, 20, 40


class GoTypesError(Exception):
    """The file is not the kind of executable that this module can read."""


@dataclass(frozen=True, slots=True)
class GoField:
    """One field of a struct; `type` is the address of its type."""

    name: str
    tag: str
    type: int


class GoExecutable:
    """An open executable; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            sections = self._sections()
            self._types, self._types_offset, _ = sections[".rodata"]
            self._links = sections[".typelink"]
        except (KeyError, struct.error, ValueError) as error:
            self._data.close()
            raise GoTypesError(f"{path} has no Go types that can be read") from error

    def __enter__(self) -> GoExecutable:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def structs(self, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
        """Package path, name and address of each struct type in `wanted` (path, name) that is there."""
        texts = {f"*{path.rpartition('/')[2]}.{name}" for path, name in wanted}
        _, offset, size = self._links
        for (link,) in struct.iter_unpack("<i", self._data[offset : offset + size]):
            pointer = self._types + link
            if self.kind(pointer) != POINTER:
                continue
            text = self._type_name(pointer)
            if text not in texts:
                continue
            element = self.element(pointer)
            found = self.package(element), text.partition(".")[2]
            if found in wanted and self.kind(element) == STRUCT:
                yield (*found, element)

    def kind(self, address: int) -> int:
        """The reflect.Kind of a type."""
        return self._data[self._offset(address) + _KIND_OFFSET] & _KIND_MASK

    def name(self, address: int) -> str:
        """A type's name with its package's short name: "v1.Pod", "[]string"."""
        return self._type_name(address)

    def element(self, address: int) -> int:
        """What a pointer or slice points to, or a map's values are."""
        skip = _TYPE_SIZE + (8 if self.kind(address) == MAP else 0)
        return int(self._read("<Q", self._offset(address) + skip)[0])

    def key(self, address: int) -> int:
        """What a map's keys are."""
        return int(self._read("<Q", self._offset(address) + _TYPE_SIZE)[0])

    def package(self, address: int) -> str:
        """The import path of a named struct type; "" for others."""
        offset = self._offset(address)
        if not self._data[offset + _TFLAG_OFFSET] & _UNCOMMON or self.kind(address) != STRUCT:
            return ""
        (name,) = self._read("<i", offset + _STRUCT_SIZE)
        return self._string(self._types_offset + name)[0]

    def fields(self, address: int) -> list[GoField]:
        """The fields of a struct type, in order."""
        start, count = self._read("<QQ", self._offset(address) + _TYPE_SIZE + 8)
        found = []
        for index in range(count):
            name, type_, _ = self._read("<QQQ", self._offset(start) + 24 * index)
            text, tag = self._string(self._offset(name))
            found.append(GoField(text, tag, type_))
        return found

    def _type_name(self, address: int) -> str:
        offset = self._offset(address)
        (name,) = self._read("<i", offset + _NAME_OFFSET)
        text = self._string(self._types_offset + name)[0]
        return text[1:] if self._data[offset + _TFLAG_OFFSET] & _EXTRA_STAR else text

    def _string(self, offset: int) -> tuple[str, str]:
        """A runtime name: flags, length, text, and a tag where the flags say so."""
        flags = self._data[offset]
        text, offset = self._counted(offset + 1)
        tag = self._counted(offset)[0] if flags & 2 else ""
        return text, tag

    def _counted(self, offset: int) -> tuple[str, int]:
        length = shift = 0
        while True:
            byte = self._data[offset]
            offset += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return self._data[offset : offset + length].decode(), offset + length

    def _offset(self, address: int) -> int:
        return address - self._types + self._types_offset

    def _read(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self._data, offset)

    def _sections(self) -> dict[str, tuple[int, int, int]]:
        """Address, offset and size of each ELF section by name."""
        if self._data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        (table,) = self._read("<Q", 0x28)
        size, count, names = self._read("<HHH", 0x3A)
        rows = [self._read("<IIQQQQ", table + size * index) for index in range(count)]
        start = rows[names][4]
        sections = {}
        for row in rows:
            begin = start + row[0]
            text = self._data[begin : self._data.find(b"\0", begin)].decode()
            sections[text] = (row[3], row[4], row[5])
        return sections
