"""What the API says of fields of a Service that are deprecated, or of no use in its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.kinds import SERVICE

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, []),
        ({"trafficDistribution": "PreferSameNode"}, []),
        (
            {"trafficDistribution": "PreferClose"},
            ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
        ),
        ({"clusterIP": "None"}, []),
        (
            {"clusterIP": "None", "sessionAffinity": "ClientIP", "externalIPs": ["198.51.100.7"]},
            [
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services",
                "spec.externalIPs is deprecated",
            ],
        ),
        ({"externalName": "example.com"}, ['spec.externalName is ignored when spec.type is not "ExternalName"']),
        ({"type": "ExternalName", "externalName": "example.com"}, []),
    ],
)
def test_what_is_said(create: Make, service: Make, spec: dict[str, Any], said: list[str]) -> None:
    assert SERVICE.strategy.warnings(create(SERVICE, service(**spec))) == said
