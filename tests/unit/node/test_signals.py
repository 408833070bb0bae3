from __future__ import annotations

import pytest

from controlplane.node.signals import number_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGQUIT", 3), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)),
        *(("", 15), ("SIGNONE", 15), ("0", 15), ("999", 15), ("SIGRTMIN+90", 15)),
    ],
)
def test_names_and_numbers(text: str, number: int) -> None:
    assert number_of(text) == number
