"""A file that was handed in. Anybody may have written it, or put something else in its place, so it is read with bounds
and taken only if it has the shape of what `netsim lab finish` writes.
"""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.labs.errors import LabError
from workbench.labs.results import KIND, SIGNATURE, Document

_LARGEST_BYTES = 1 << 20
_LONGEST_TEXT = 500
_MOST = 1 << 63
_Test = Callable[[Any], bool]


def read(file: Path) -> Document:
    """The document; its signature is not asked yet. Raises `LabError`."""
    try:
        document = json.loads(_content(file))
    except OSError as error:
        raise LabError(f"{printable(str(file))} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LabError(f"{printable(str(file))} cannot be read: {error}") from error
    if not _fits(document, _RESULT) or document["kind"] != KIND:
        raise LabError(f"{printable(str(file))} is not what `netsim lab finish` writes")
    return dict(document)


def printable(text: str) -> str:
    """The text with a question mark for what a terminal or XML takes for something else than a letter."""
    return "".join("?" if _is_control(letter) else letter for letter in text)


def _content(file: Path) -> bytes:
    """Does not wait for one who writes into a pipe, nor read without end."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no file")
        content = os.read(descriptor, _LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST_BYTES:
        raise ValueError("it is larger than 1 MiB")
    return content


def _fits(value: Any, shape: Mapping[str, _Test]) -> bool:
    return isinstance(value, dict) and value.keys() == shape.keys() and all(shape[name](value[name]) for name in shape)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and not any(map(_is_control, value))


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not _is_flag(value) and 0 <= value < _MOST


def _is_duration(value: Any) -> bool:
    # Not negative by much: a clock that was set back.
    return value is None or (isinstance(value, int | float) and not _is_flag(value) and abs(value) < _MOST)


def _is_answers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(answer, str) for answer in value.values())


def _is_checks(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(name) and _is_flag(passed) for name, passed in value.items())


def _is_stages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_fits(each, _STAGE) for each in value)


_STAGE: Mapping[str, _Test] = {
    "name": _is_text,
    "passed": _is_flag,
    "seconds": _is_duration,
    "tries": _is_count,
    "hints": _is_count,
    "solution": _is_flag,
    "answers": _is_answers,
    "checks": _is_checks,
}
_RESULT: Mapping[str, _Test] = {
    **dict.fromkeys(("kind", "lab", "digest", "student", "cluster", "started", "finished", SIGNATURE), _is_text),
    "seed": _is_count,
    "stages": _is_stages,
}
