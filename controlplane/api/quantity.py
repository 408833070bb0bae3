"""Kubernetes quantities ("100m", "1Gi", "2e3"), exact.

A quantity is a decimal number with a binary or decimal suffix, no finer than a billionth and no
larger than 2^63-1; so it is held as an integer of billionths, and nothing is lost. Rounding and
printing follow k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from typing import Literal

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
FORMAT_ERROR = f"quantities must match the regular expression '{PATTERN}'"

NANO = 10**9
LARGEST = (2**63 - 1) * NANO

Form = Literal["decimal", "binary", "exponent"]

_NUMBER = re.compile(
    r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?", re.ASCII
)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()} | {0: ""}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}


class QuantityError(ValueError):
    """The text is not a quantity."""


def nanos(value: str | int | float) -> int:
    """The quantity in billionths, rounded away from zero; QuantityError when it is none."""
    return _parse(value)[0]


def milli(value: str | int | float) -> int:
    """The quantity in thousandths, rounded up: "0.1" CPU is 100."""
    return -(-nanos(value) // 10**6)


def whole(value: str | int | float) -> int:
    """The quantity as a whole number, rounded up: "1Ki" bytes is 1024."""
    return -(-nanos(value) // NANO)


def canonical(value: str | int | float) -> str:
    """The one text that the API prints for this quantity: "1024Mi" is "1Gi", "0.5" is "500m"."""
    return render(*_parse(value))


def render(number: int, form: Form = "decimal") -> str:
    """Prints `number` billionths in `form`: "decimal" (k, M, m), "binary" (Ki, Mi), "exponent" (e3).

    Binary turns decimal where the value is no whole number or smaller than 1024.
    """
    if number == 0:
        return "0"
    if form == "binary" and abs(number) >= 1024 * NANO and number % NANO == 0:
        power, scaled = 0, number // NANO
        while scaled % 1024 == 0 and power < 6:
            power, scaled = power + 1, scaled // 1024
        return f"{scaled}{_BINARY_SUFFIX[power]}"
    exponent, scaled = -9, number
    while scaled % 1000 == 0 and exponent < 18:
        exponent, scaled = exponent + 3, scaled // 1000
    if form == "exponent":
        return f"{scaled}e{exponent}" if exponent else str(scaled)
    return f"{scaled}{_DECIMAL_SUFFIX[exponent]}"


def _parse(value: str | int | float) -> tuple[int, Form]:
    match = _NUMBER.fullmatch(value if isinstance(value, str) else str(value))
    if match is None:
        raise QuantityError(FORMAT_ERROR)
    sign, integer, fraction, bare_fraction, suffix = match.groups(default="")
    fraction = fraction or bare_fraction
    digits = int(integer + fraction or "0")
    exponent = 9 - len(fraction)
    form: Form = "decimal"
    if suffix in _BINARY:
        digits *= 1024 ** _BINARY[suffix]
        form = "binary"
    elif suffix in _DECIMAL:
        exponent += _DECIMAL[suffix]
    else:
        exponent += int(suffix[1:])
        form = "exponent"
    number = digits * 10**exponent if exponent >= 0 else -(-digits // 10**-exponent)
    number = min(number, LARGEST)
    return (-number if sign == "-" else number), form
