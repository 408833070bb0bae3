"""API objects as short as the tests need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.types import Object


def make_service(namespace: str, name: str, cluster_ip: str, **spec: Any) -> Object:
    ports = spec.pop("ports", [{"name": "p80", "port": 80, "protocol": "TCP"}])
    ingress = spec.pop("ingress", [])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": spec.pop("labels", {})},
        "spec": {"type": "ClusterIP", "clusterIP": cluster_ip, "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def make_slice(namespace: str, service: str, *endpoints: Any, name: str = "", **fields: Any) -> Object:
    """An endpoint is an address, or (address, extra fields of the endpoint)."""
    items = [{"addresses": [e]} if isinstance(e, str) else {"addresses": [e[0]], **e[1]} for e in endpoints]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": name or f"{service}-1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
        "endpoints": items,
        **fields,
    }


@pytest.fixture
def service() -> Callable[..., Object]:
    return make_service


@pytest.fixture
def endpoint_slice() -> Callable[..., Object]:
    return make_slice
