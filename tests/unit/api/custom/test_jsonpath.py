"""JSON paths of printer columns."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.custom.columns import columns_of
from controlplane.api.custom.jsonpath import BadPath, compile_path, field_names

OBJ: dict[str, Any] = {
    "metadata": {"name": "w", "annotations": {"a.b/c": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"n": 3, "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}], "on": True},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        ("{.spec.n}", [3]),
        (".spec.ports[0].name", ["a"]),
        (".spec.ports[-1].name", ["b"]),
        (".spec.ports[*].port", [1, 2]),
        (".spec.ports[0:1].port", [1]),
        (r".metadata.annotations.a\.b/c", ["x"]),
        (".metadata.annotations['a.b/c']", ["x"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["False"]),
        (".spec.ports[?(@.port>1)].name", ["b"]),
        (".spec.absent.deep", []),
        (".spec.n.deep", []),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    assert compile_path(path)(OBJ) == found


@pytest.mark.parametrize("path", ["spec", ".spec[", ".spec[?(@.a==b c)]", ".a b"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(BadPath):
        compile_path(path)


def test_field_names() -> None:
    assert field_names(r".spec.a\.b") == ["spec", "a.b"]
    with pytest.raises(BadPath):
        field_names(".spec.ports[0]")


def test_rows() -> None:
    declared = [
        {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Text", "type": "string", "jsonPath": ".spec.n"},
        {"name": "Ports", "type": "string", "jsonPath": ".spec.ports[0]"},
        {"name": "None", "type": "string", "jsonPath": ".spec.absent"},
        {"name": "Wrong", "type": "integer", "jsonPath": ".spec.on"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
    ]
    columns, row = columns_of(declared)
    assert [column.name for column in columns] == ["Name", "N", "On", "Text", "Ports", "None", "Wrong", "Age"]
    assert columns[-1].priority == 1
    now = 1767225600 + 90.0
    assert row(OBJ, now) == ["w", 3, True, "3", '{"name":"a","port":1}', None, None, "90s"]
    assert [column.name for column in columns_of(None)[0]] == ["Name", "Age"]
