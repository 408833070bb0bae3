"""What is read from Services and EndpointSlices, and which endpoints a node uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.proxy.endpoints import Chosen, choose, depends_on_node
from controlplane.proxy.model import read_endpoints, read_service, service_of

Make = Callable[..., Object]
KEY = ("p80", "tcp")
DRAINING = {"conditions": {"ready": False, "serving": True, "terminating": True}}
UNREADY = {"conditions": {"ready": False, "serving": False}}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "ExternalName"},
        {"clusterIP": "None"},
        {"clusterIP": ""},
        {"clusterIP": "fd00::1"},
        {"labels": {"service.kubernetes.io/service-proxy-name": "other"}},
    ],
)
def test_services_that_no_proxy_serves_have_no_ports(service: Make, change: dict[str, Any]) -> None:
    built = service("default", "web", change.pop("clusterIP", "10.48.0.9"), **change)
    assert read_service(built) == ()


def test_load_balancer_addresses_behind_a_proxy_are_not_captured(service: Make) -> None:
    built = service("default", "web", "10.48.0.9", type="LoadBalancer", ingress=[{"ip": "1.1.1.1", "ipMode": "Proxy"}])
    assert read_service(built)[0].load_balancer_ips == ()


def test_health_check_port_counts_with_policy_local_only(service: Make) -> None:
    spec = {"type": "LoadBalancer", "healthCheckNodePort": 31000}
    assert read_service(service("d", "w", "10.48.0.9", **spec))[0].health_check_node_port == 0
    local = service("d", "w", "10.48.0.9", externalTrafficPolicy="Local", **spec)
    assert read_service(local)[0].health_check_node_port == 31000


def test_endpoints_are_sorted_as_text_and_each_once(endpoint_slice: Make) -> None:
    first = endpoint_slice("d", "w", "10.44.1.10", ("10.44.1.9", UNREADY))
    second = endpoint_slice("d", "w", "10.44.1.2", "10.44.1.9")
    found = read_endpoints([first, second])[KEY]
    assert [e.address for e in found] == ["10.44.1.10:80", "10.44.1.2:80", "10.44.1.9:80"]
    assert found[2].ready


def test_slices_of_other_families_headless_services_and_proxies_are_left_out(endpoint_slice: Make) -> None:
    assert read_endpoints([endpoint_slice("d", "w", "fd00::1", addressType="IPv6")]) == {}
    built = endpoint_slice("d", "w", "10.44.1.2")
    assert service_of(built) == ("d", "w")
    built["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    assert service_of(built) is None


def chosen(service: Object, *slices: Object) -> Chosen:
    (port,) = read_service(service)
    return choose(port, read_endpoints(slices)[port.key], "node-1", "zone-a")


def ips(endpoints: Any) -> list[str]:
    return [e.ip for e in endpoints]


def test_terminating_endpoints_serve_only_when_nothing_is_ready(service: Make, endpoint_slice: Make) -> None:
    web = service("d", "w", "10.48.0.9")
    with_ready = chosen(web, endpoint_slice("d", "w", "10.44.1.1", ("10.44.1.2", DRAINING)))
    assert ips(with_ready.cluster) == ["10.44.1.1"]
    without = chosen(web, endpoint_slice("d", "w", ("10.44.1.1", UNREADY), ("10.44.1.2", DRAINING)))
    assert ips(without.cluster) == ["10.44.1.2"]
    assert without.exist


def test_nothing_usable_means_none_exist(service: Make, endpoint_slice: Make) -> None:
    assert not chosen(service("d", "w", "10.48.0.9"), endpoint_slice("d", "w", ("10.44.1.1", UNREADY))).exist


def test_local_policy_falls_back_by_itself(service: Make, endpoint_slice: Make) -> None:
    web = service("d", "w", "10.48.0.9", type="NodePort", externalTrafficPolicy="Local", ports=[
        {"name": "p80", "port": 80, "nodePort": 30080}
    ])  # fmt: skip
    found = chosen(web, endpoint_slice("d", "w", "10.44.2.1", ("10.44.1.2", DRAINING | {"nodeName": "node-1"})))
    assert ips(found.cluster) == ["10.44.2.1"]
    assert ips(found.local) == ["10.44.1.2"]
    assert ips(found.reachable) == ["10.44.1.2", "10.44.2.1"]


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ([{"forNodes": [{"name": "node-1"}]}, {"forNodes": [{"name": "node-2"}]}], ["10.44.1.1"]),
        ([{"forZones": [{"name": "zone-b"}]}, {"forZones": [{"name": "zone-a"}]}], ["10.44.1.2"]),
        ([{"forZones": [{"name": "zone-a"}]}, None], ["10.44.1.1", "10.44.1.2"]),
        ([{"forZones": [{"name": "zone-b"}]}, {"forZones": [{"name": "zone-c"}]}], ["10.44.1.1", "10.44.1.2"]),
    ],
)
def test_hints_narrow_only_when_all_have_one_and_one_is_near(
    service: Make, endpoint_slice: Make, hints: list[Any], expected: list[str]
) -> None:
    built = endpoint_slice("d", "w", *((f"10.44.1.{i}", {"hints": hint}) for i, hint in enumerate(hints, 1)))
    assert ips(chosen(service("d", "w", "10.48.0.9"), built).cluster) == expected
    (port,) = read_service(service("d", "w", "10.48.0.9"))
    assert depends_on_node(port, read_endpoints([built])[port.key])
