"""The simple JSON paths of printer columns, selectable fields and the scale subresource.

Fields, quoted fields, indexes, slices, `[*]` and filters such as `[?(@.type=="Ready")]`: what
client-go's jsonpath allows there. No functions, no arithmetic, no recursive descent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Step = Callable[[Any], Iterable[Any]]

_NAME = re.compile(r"\.((?:\\.|[^.\[\]\\\s])+)")
_BRACKET = re.compile(
    r"""\[(?:
    (?P<all>\*) | '(?P<single>(?:\\.|[^'\\])*)' | "(?P<double>(?:\\.|[^"\\])*)"
    | (?P<index>-?\d+) | (?P<slice>-?\d*:-?\d*(?::-?\d*)?)
    | \?\(\s*@(?P<left>[^=!<>\s]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>[^)]+?)\s*)?\)
    )\]""",
    re.VERBOSE,
)


class BadPath(ValueError):
    """The text is no path of this kind."""


def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """The values at the path `text`, e.g. ".status.conditions[?(@.type=='Ready')].status"."""
    steps = list(_steps(text))

    def find(obj: Any) -> list[Any]:
        found = [obj]
        for step in steps:
            found = [inner for one in found for inner in step(one)]
        return found

    return find


def field_names(text: str) -> list[str]:
    """The names of a path made of fields only, such as ".spec.replicas"; BadPath for another."""
    names, position = [], 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            raise BadPath(text)
        names.append(_plain(match[1]))
        position = match.end()
    if not names:
        raise BadPath(text)
    return names


def _steps(text: str) -> Iterator[Step]:
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    position = 1 if text.startswith("$") else 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is not None:
            yield _all if match[1] == "*" else _field(_plain(match[1]))
        else:
            match = _BRACKET.match(text, position)
            if match is None:
                raise BadPath(f"unexpected {text[position:]!r}")
            yield _bracket(match)
        position = match.end()


def _bracket(match: re.Match[str]) -> Step:
    if match["all"]:
        return _all
    for quoted in ("single", "double"):
        if match[quoted] is not None:
            return _field(_plain(match[quoted]))
    if match["index"]:
        index = int(match["index"])
        return lambda value: value[index : index + 1 or None] if isinstance(value, list) else ()
    if match["slice"]:
        part = slice(*(int(one) if one else None for one in match["slice"].split(":")))
        return lambda value: value[part] if isinstance(value, list) else ()
    return _filter(match)


def _filter(match: re.Match[str]) -> Step:
    left = compile_path(match["left"])
    operator, right = match["op"], _literal(match["right"]) if match["right"] else None

    def keeps(item: Any) -> bool:
        found = left(item)
        return bool(found) if not operator else bool(found) and _compare(found[0], operator, right)

    return lambda value: [item for item in value if keeps(item)] if isinstance(value, list) else ()


def _compare(left: Any, operator: str, right: Any) -> bool:
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
    try:
        return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return _plain(text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise BadPath(f"unrecognized literal {text!r}") from error


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _all(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
