"""Bodies in YAML."""

from __future__ import annotations

import pytest

from controlplane.api.errors import BadRequest
from controlplane.server.negotiation import parse_yaml


def test_aliases_are_values() -> None:
    assert parse_yaml(b"a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 12):
        lines.append(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]")
    with pytest.raises(BadRequest, match="excessive aliasing"):
        parse_yaml("\n".join(lines).encode())
