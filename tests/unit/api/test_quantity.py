"""Quantities: exact, and printed in the one canonical way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("1", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1000k", "1M"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e6", "12e6"),
        ("100n", "100n"),
        ("1E", "1E"),
        ("-1Gi", "-1Gi"),
        ("+2", "2"),
        ("0.1n", "1n"),
        (128974848, "128974848"),
        (0.5, "500m"),
        ("9223372036854775808", "9223372036854775807"),
    ],
)
def test_canonical(text: str | int | float, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "Mi", "1x", "1 Gi", "1.2.3", "--1", "1ki", "1KI", "0x10", "½", "."])
def test_not_a_quantity(text: str) -> None:
    with pytest.raises(quantity.QuantityError, match="must match the regular expression"):
        quantity.canonical(text)


def test_rounding_is_up() -> None:
    assert quantity.milli("0.0001") == 1
    assert quantity.whole("1500m") == 2
    assert quantity.whole("1Ki") == 1024


texts = st.builds(
    lambda sign, number, suffix: f"{sign}{number}{suffix}",
    st.sampled_from(["", "-", "+"]),
    st.one_of(st.integers(0, 10**6), st.decimals(0, 10**6, places=3)),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2"]),
)


@given(texts)
def test_canonical_keeps_the_value_and_is_stable(text: str) -> None:
    once = quantity.canonical(text)
    assert quantity.nanos(once) == quantity.nanos(text)
    assert quantity.canonical(once) == once


@given(st.integers(-(2**62), 2**62))
def test_integers_are_exact(number: int) -> None:
    assert quantity.nanos(number) == number * quantity.NANO
    assert quantity.nanos(quantity.canonical(number)) == number * quantity.NANO
