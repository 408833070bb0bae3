"""Patterns: what they match, and that they come to an end."""

from __future__ import annotations

import random
import re

import pytest

from controlplane.api.cel import CelError, compile_expression
from controlplane.api.custom.linear import LinearPattern, TooLarge, is_risky
from controlplane.api.custom.patterns import compile_matcher

PATTERNS = (
    *(r"^([a-cA-C]+\.?)+\Z", r"(a+)+b", r"a{2,4}b*\Z", r"^(a|b|ab)*\Z", r"(?i)^[A-C]+x?\Z", r"^[^ab]*\Z", ""),
    *(r"(?m)^ab?\Z", r"\bab\b", r"\Ba", r"a.c", r"(?s)a.c", r"^\s*(\w+)(\s+\w+)*\s*\Z", r"a|b|", r"(?i:ab)c"),
    *(r"^(?:a{0,3}b){1,2}\Z", r"(a*)*c", r"(a??b)+?c\Z", r"[\w.-]+@\w+", r"(?i)[^a]b", r"(a{3}){2}", r"\d\D\S"),
)

DOUBLED = "'aaaaaaaa'"
for _letter in "bcdefghi":
    DOUBLED = f"cel.bind({_letter}, {DOUBLED}, {' + '.join(_letter * 8)})"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_engines_agree(pattern: str) -> None:
    linear, quick, chosen = LinearPattern(pattern), re.compile(pattern, re.ASCII), random.Random(pattern)
    for _ in range(500):
        text = "".join(chosen.choices("aAbBcx .1\n@", k=chosen.randrange(9)))
        assert linear.search(text) is (quick.search(text) is not None), text


@pytest.mark.parametrize("pattern", ["^([a-zA-Z0-9]+[.]?)+$", "^(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_pattern_that_tries_everything_comes_to_an_end(pattern: str) -> None:
    assert is_risky(pattern)
    assert not compile_matcher(pattern)("a" * 5000 + "!")


def test_repeats_have_a_bound() -> None:
    with pytest.raises(TooLarge):
        LinearPattern("((a{1000}){1000})*")


@pytest.mark.parametrize("text", ["[1, 2][1.0e308 * 10.0]", "{[1]: 2}", "[?1]", "'a'.matches('(a')", DOUBLED])
def test_what_cannot_be_evaluated_is_an_error_of_the_expression(text: str) -> None:
    with pytest.raises(CelError):
        compile_expression(text)({})
