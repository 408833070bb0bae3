"""Patterns: what they match, and that they come to an end."""

from __future__ import annotations

import random
import re

import pytest

from controlplane.api.cel import CelError, compile_expression
from controlplane.api.custom.growth import growth
from controlplane.api.custom.linear import MOST_KEPT, LinearPattern, TooLarge, Undecided
from controlplane.api.custom.patterns import compile_matcher

PATTERNS = (
    *(r"^([a-cA-C]+\.?)+\Z", r"(a+)+b", r"a{2,4}b*\Z", r"^(a|b|ab)*\Z", r"(?i)^[A-C]+x?\Z", r"^[^ab]*\Z", ""),
    *(r"(?m)^ab?\Z", r"\bab\b", r"\Ba", r"a.c", r"(?s)a.c", r"^\s*(\w+)(\s+\w+)*\s*\Z", r"a|b|", r"(?i:ab)c"),
    *(r"^(?:a{0,3}b){1,2}\Z", r"(a*)*c", r"(a??b)+?c\Z", r"[\w.-]+@\w+", r"(?i)[^a]b", r"(a{3}){2}", r"\d\D\S"),
)

DOUBLED = "'aaaaaaaa'"
for _letter in "bcdefghi":
    DOUBLED = f"cel.bind({_letter}, {DOUBLED}, {' + '.join(_letter * 8)})"


LONG_FIND = f"'{'a' * 1000}b'.find('a*a*a*b')"
LONG_FORM = "'%.999999999d'.format([1])"
SQUARED = f"'{'a' * 9000}'.replace('a', '{'b' * 9000}')"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_engines_agree(pattern: str) -> None:
    linear, quick, chosen = LinearPattern(pattern), re.compile(pattern, re.ASCII), random.Random(pattern)
    for _ in range(500):
        text = "".join(chosen.choices("aAbBcx .1\n@", k=chosen.randrange(9)))
        assert linear.search(text) is (quick.search(text) is not None), text


@pytest.mark.parametrize(
    "pattern",
    [
        *("^([a-zA-Z0-9]+[.]?)+$", "^(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"),
        *("(a?a?)*b", "(a{0,63}){0,10}b"),
    ],
)
def test_a_pattern_that_tries_everything_comes_to_an_end(pattern: str) -> None:
    assert growth(pattern) is None
    assert not compile_matcher(pattern)("a" * 5000 + "!")


@pytest.mark.parametrize("pattern", ["^a*a*a*a*b", "a*a*b", "a.*a.*a.*b", "a{0,60}a{0,60}a{0,60}a{0,60}b"])
def test_a_long_text_comes_to_an_end(pattern: str) -> None:
    assert not compile_matcher(pattern)("a" * 200_000)


@pytest.mark.parametrize("pattern", ["^([ab]+)*a[ab]{18}c", r"(?:\b[ab]*)*c", "a{0,9999}a{0,9999}a{0,9999}c"])
def test_a_text_that_is_too_long_for_a_pattern_is_said_to_be(pattern: str) -> None:
    matches = compile_matcher(pattern)
    assert matches("aaaaaaaaaaaaaaaaaaaaaaaaac")
    text = "".join(random.Random(1).choices("ab", k=200_000))
    with pytest.raises(Undecided):
        matches(text)


def test_what_is_kept_of_a_pattern_has_a_bound() -> None:
    pattern = LinearPattern("a{0,3000}a{0,3000}c")
    with pytest.raises(Undecided):
        pattern.search("a" * 3000)
    assert sum(map(len, pattern._sets)) < 2 * MOST_KEPT


def test_repeats_have_a_bound() -> None:
    with pytest.raises(TooLarge):
        LinearPattern("((a{1000}){1000})*")


@pytest.mark.parametrize(
    "text", ["[1, 2][1.0e308 * 10.0]", "{[1]: 2}", "[?1]", "'a'.matches('(a')", DOUBLED, LONG_FIND, LONG_FORM, SQUARED]
)
def test_what_cannot_be_evaluated_is_an_error_of_the_expression(text: str) -> None:
    with pytest.raises(CelError):
        compile_expression(text)({})
