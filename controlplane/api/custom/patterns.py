"""Regular expressions of schemas, which are Go's (RE2), compiled with Python's engine.

The syntax of the two is the same but for a few spellings, which are translated; what RE2 refuses
(look-around, back-references) is refused here too, for a schema that works here must work upstream.
Where Python's engine may take for ever there is another (`linear`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from controlplane.api.custom.growth import growth, is_quick
from controlplane.api.custom.linear import LinearPattern, TooLarge, Undecided

Matcher = Callable[[str], bool]

_SPELLINGS = {r"\z": r"\Z", r"\pL": r"[^\W\d_]", r"\p{L}": r"[^\W\d_]", r"\pN": r"\d", r"\p{N}": r"\d"}
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(r"\\p\{L\}|\\p\{N\}|\\pL|\\pN|\\.|\[:(\w+):\]|\(\?(<?[=!])|\(\?<(?=\w)|\$")


class UnsupportedPattern(ValueError):
    """The text is no regular expression that Go would take."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """`text` compiled; UnsupportedPattern when Go would not take it, or Python cannot."""
    try:
        return re.compile(_TOKEN.sub(_translated, text), re.ASCII)
    except (re.error, OverflowError) as error:
        raise UnsupportedPattern(f"error parsing regexp: {error}: `{text}`") from error


def compile_matcher(text: str) -> Matcher:
    """A function that says whether `text` matches anywhere in its argument; UnsupportedPattern as `compile_pattern`.

    It raises Undecided where the argument is too long for the pattern.
    """
    pattern = compile_pattern(text)
    try:
        linear = LinearPattern(pattern.pattern) if growth(pattern.pattern) is None else None
    except ValueError as error:
        raise UnsupportedPattern(f"error parsing regexp: {error}: `{text}`") from error

    def matches(value: str) -> bool:
        nonlocal linear
        if is_quick(pattern.pattern, len(value)):
            return pattern.search(value) is not None
        if linear is None:
            linear = _linear(pattern.pattern)
        return linear.search(value)

    return matches


def _linear(pattern: str) -> LinearPattern:
    try:
        return LinearPattern(pattern)
    except TooLarge as error:
        raise Undecided(f"the text is too long for the pattern, and the {error}") from error


def _translated(match: re.Match[str]) -> str:
    token = match[0]
    if match[2]:
        raise UnsupportedPattern(f"error parsing regexp: invalid or unsupported Perl syntax: `{token}`")
    if match[1]:
        return _CLASSES.get(match[1], token)
    if token == "$":
        return r"\Z"
    if token == "(?<":
        return "(?P<"
    if token[0] == "\\" and token[1:].isdigit() and token != r"\0":
        raise UnsupportedPattern(f"error parsing regexp: invalid escape sequence: `{token}`")
    return _SPELLINGS.get(token, token)
