"""Bodies in YAML."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane.api.errors import BadRequest
from controlplane.server.go_types import GoExecutable
from controlplane.server.negotiation import parse_yaml
from controlplane.server.protobuf import Messages


def test_aliases_are_values() -> None:
    assert parse_yaml(b"a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 12):
        lines.append(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]")
    with pytest.raises(BadRequest, match="excessive aliasing"):
        parse_yaml("\n".join(lines).encode())


def test_kubectl_is_scanned_once_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    scans, scan = [], GoExecutable.structs

    def counted(executable: GoExecutable, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
        scans.append(wanted)
        return scan(executable, wanted)

    def body(version: bytes, kind: bytes) -> bytes:
        identity = bytes((0x0A, len(version))) + version + bytes((0x12, len(kind))) + kind
        return b"k8s\0" + bytes((0x0A, len(identity))) + identity

    monkeypatch.setattr(GoExecutable, "structs", counted)
    messages = Messages()
    for kind in (b"Bogus", b"Bogus", b"Other"):
        with pytest.raises(BadRequest, match="is registered for version"):
            messages.decode(body(b"v1", kind))
    assert messages.decode(body(b"v1", b"Pod"))["kind"] == "Pod"
    assert messages.decode(body(b"apps/v1", b"Deployment"))["kind"] == "Deployment"
    assert len(scans) == 1


@pytest.mark.parametrize("text", ["a: &a [*a]", "- " * 20_000, "{" * 5_000, '{"a": ' * 5_000])
def test_a_text_without_a_bottom_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="error converting YAML to JSON"):
        parse_yaml(text.encode())


def test_json_is_yaml() -> None:
    assert parse_yaml(b'{"a": [1, "b"]}') == {"a": [1, "b"]}
    assert parse_yaml(b"{a: 1}") == {"a": 1}
