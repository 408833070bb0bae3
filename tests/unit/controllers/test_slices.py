"""What is written when endpoints change."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.endpoints_of import Endpoint, PortSet, target_port
from controlplane.controllers.slices import Changes, plan

PORTS: PortSet = (("http", "TCP", 8080, ""),)
OTHER: PortSet = (("http", "TCP", 9090, ""),)
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"team": "a"}},
    "spec": {"selector": {"app": "web"}, "clusterIP": "10.48.0.5"},
}


def endpoints(*numbers: int, ready: bool = True) -> dict[str, Endpoint]:
    return {
        f"pod-{n}": Endpoint(
            f"pod-{n}",
            {"addresses": [f"10.44.0.{n}"], "conditions": {"ready": ready}, "targetRef": {"uid": f"pod-{n}"}},
        )
        for n in numbers
    }


def stored(changes: Changes, known: list[Object]) -> list[Object]:
    """What is there after the changes were written."""
    gone = {one["metadata"]["name"] for one in changes.delete}
    by_name = {one["metadata"]["name"]: one for one in known if one["metadata"]["name"] not in gone}
    by_name.update((one["metadata"]["name"], one) for one in changes.update)
    for number, one in enumerate(changes.create):
        name = f"web-{len(known)}-{number}"
        by_name[name] = {**one, "metadata": {**one["metadata"], "name": name}}
    return list(by_name.values())


def counts(slices: list[Object]) -> list[int]:
    return sorted(len(one["endpoints"]) for one in slices)


def writes(changes: Changes) -> tuple[int, int, int]:
    return len(changes.create), len(changes.update), len(changes.delete)


def test_full_slices_then_one_more() -> None:
    changes = plan(SERVICE, {PORTS: endpoints(*range(250))}, [], "")
    assert counts(stored(changes, [])) == [50, 100, 100]


def test_one_endpoint_more_touches_one_slice() -> None:
    now = stored(plan(SERVICE, {PORTS: endpoints(*range(150))}, [], ""), [])
    changes = plan(SERVICE, {PORTS: endpoints(*range(151))}, now, "2026-01-01T00:00:00Z")
    assert writes(changes) == (0, 1, 0)
    annotations: dict[str, Any] = changes.update[0]["metadata"]["annotations"]
    assert annotations == {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}


def test_nothing_changed_nothing_written() -> None:
    now = stored(plan(SERVICE, {PORTS: endpoints(1, 2)}, [], ""), [])
    assert writes(plan(SERVICE, {PORTS: endpoints(1, 2)}, now, "later")) == (0, 0, 0)


def test_a_condition_changes_in_place() -> None:
    now = stored(plan(SERVICE, {PORTS: endpoints(1, 2)}, [], ""), [])
    changes = plan(SERVICE, {PORTS: endpoints(1) | endpoints(2, ready=False)}, now, "")
    assert writes(changes) == (0, 1, 0)
    assert [one["conditions"]["ready"] for one in changes.update[0]["endpoints"]] == [True, False]


def test_a_service_without_endpoints_keeps_one_empty_slice_under_its_name() -> None:
    now = stored(plan(SERVICE, {PORTS: endpoints(1)}, [], ""), [])
    changes = plan(SERVICE, {}, now, "")
    assert writes(changes) == (0, 1, 0)
    empty = stored(changes, now)
    assert counts(empty) == [0]
    assert empty[0]["metadata"]["name"] == now[0]["metadata"]["name"]
    assert writes(plan(SERVICE, {}, empty, "")) == (0, 0, 0)


def test_slices_that_have_become_empty_go() -> None:
    now = stored(plan(SERVICE, {PORTS: endpoints(*range(150))}, [], ""), [])
    after = stored(plan(SERVICE, {PORTS: endpoints(*range(100))}, now, ""), now)
    assert counts(after) == [100]


def test_each_set_of_ports_has_slices_of_its_own() -> None:
    groups = {PORTS: endpoints(1, 2), OTHER: endpoints(3)}
    now = stored(plan(SERVICE, groups, [], ""), [])
    assert {one["ports"][0]["port"]: len(one["endpoints"]) for one in now} == {8080: 2, 9090: 1}
    assert writes(plan(SERVICE, groups, now, "")) == (0, 0, 0)


def test_labels_of_the_service_are_handed_down() -> None:
    (made,) = plan({**SERVICE, "spec": {"clusterIP": "None"}}, {PORTS: endpoints(1)}, [], "").create
    assert made["metadata"]["labels"] == {
        "team": "a",
        "service.kubernetes.io/headless": "",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }


def test_a_target_port_by_name_needs_the_protocol_too() -> None:
    ports = [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "dns", "containerPort": 5353}]
    pod = {"spec": {"containers": [{"ports": ports}]}}
    assert target_port({"port": 53, "targetPort": "dns", "protocol": "UDP"}, pod) == 53
    assert target_port({"port": 53, "targetPort": "dns"}, pod) == 5353
    assert target_port({"port": 53, "targetPort": "other"}, pod) is None
    assert target_port({"port": 53}, pod) == 53
