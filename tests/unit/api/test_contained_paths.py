"""Paths in a manifest that a node would follow: none of them may climb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.kinds import POD

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "Required value"),
        ("a/../../../../x", "Invalid value: \"a/../../../../x\": must not contain '..'"),
        ("/etc/x", 'Invalid value: "/etc/x": must be a relative path'),
        ("..data", "Invalid value: \"..data\": must not start with '..'"),
    ],
)
def test_the_path_of_a_token_stays_in_its_volume(errors: Make, path: str, expected: str) -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": path}}]}}
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
    field = "spec.volumes[0].projected.sources[0].serviceAccountToken.path"
    assert errors(POD, {"metadata": {"name": "p"}, "spec": spec}) == [f"{field}: {expected}"]


def test_a_working_directory_may_not_climb(errors: Make) -> None:
    spec = {"containers": [{"name": "c", "image": "i", "workingDir": "/../../x"}]}
    expected = "spec.containers[0].workingDir: Invalid value: \"/../../x\": must not contain '..'"
    assert errors(POD, {"metadata": {"name": "p"}, "spec": spec}) == [expected]
