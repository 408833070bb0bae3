"""Server-side printing: cells as upstream's printers compute them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import BadRequest
from controlplane.api.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    EVENT,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    TOKEN_REQUEST,
)
from controlplane.api.printing.cells import human_duration
from controlplane.api.scheme import SCHEME
from controlplane.api.tables import include_of, table
from controlplane.api.types import Kind, Object

Make = Callable[..., Any]

CREATED = "2026-01-01T00:00:00Z"
NOW = 1767225600.0 + 300
"""Five minutes after CREATED."""


def cells(kind: Kind, **fields: Any) -> list[Any]:
    metadata = {"name": "web", "creationTimestamp": CREATED} | fields.pop("metadata", {})
    obj: Object = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}
    result = table(kind, [obj], {}, now=NOW)
    row: list[Any] = result["rows"][0]["cells"]
    assert len(row) == len(result["columnDefinitions"])
    return row


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (310, "5m10s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12000, "3h20m"),
        (28800, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (8 * 86400 + 3600, "8d"),
        (400 * 86400, "400d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_every_listed_kind_has_its_columns() -> None:
    for kind in SCHEME.served():
        if "list" in kind.verbs:
            assert kind.strategy.columns, kind.name
            assert kind.strategy.row, kind.name


def test_kinds_without_columns() -> None:
    result = table(TOKEN_REQUEST, [{"metadata": {"name": "a", "creationTimestamp": CREATED}}], {})
    assert [column["name"] for column in result["columnDefinitions"]] == ["Name", "Created At"]
    assert result["rows"][0]["cells"] == ["a", CREATED]


def test_what_a_row_carries() -> None:
    obj: Object = {"metadata": {"name": "a"}, "status": {"phase": "Succeeded"}}
    listed = {"resourceVersion": "7"}
    assert "object" not in table(POD, [obj], listed, include="None")["rows"][0]
    assert table(POD, [obj], listed, include="Object")["rows"][0]["object"] is obj
    result = table(POD, [obj], listed, headers=False)
    assert result["metadata"] == listed
    assert result["columnDefinitions"] == []
    [row] = result["rows"]
    assert row["object"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}}
    assert row["conditions"][0]["reason"] == "Succeeded"
    assert include_of("") == "Metadata"
    with pytest.raises(BadRequest, match="must be 'Metadata', 'Object', 'None', or empty"):
        include_of("Some")


SPEC = {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "node-1"}
INIT_SPEC = SPEC | {"initContainers": [{"name": "i"}, {"name": "j"}]}
SIDECAR_SPEC = SPEC | {"initContainers": [{"name": "s", "restartPolicy": "Always"}]}
RUNNING = {"ready": True, "state": {"running": {"startedAt": CREATED}}}
DELETED = {"deletionTimestamp": CREATED}


def waiting(reason: str) -> dict[str, Any]:
    return {"ready": False, "state": {"waiting": {"reason": reason}}}


def ended(code: int, **fields: Any) -> dict[str, Any]:
    return {"ready": False, "state": {"terminated": {"exitCode": code, **fields}}}


@pytest.mark.parametrize(
    ("spec", "status", "metadata", "ready", "shown"),
    [
        (SPEC, {"phase": "Pending"}, {}, "0/2", "Pending"),
        (SPEC, {"phase": "Running", "containerStatuses": [RUNNING, RUNNING]}, {}, "2/2", "Running"),
        (
            SPEC,
            {"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")] * 2},
            {},
            "0/2",
            "ContainerCreating",
        ),
        (
            SPEC,
            {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff"), RUNNING]},
            {},
            "1/2",
            "CrashLoopBackOff",
        ),
        (SPEC, {"phase": "Failed", "reason": "Evicted"}, {}, "0/2", "Evicted"),
        (SPEC, {"phase": "Succeeded", "containerStatuses": [ended(0, reason="Completed")] * 2}, {}, "0/2", "Completed"),
        (SPEC, {"phase": "Failed", "containerStatuses": [ended(1, reason="Error")]}, {}, "0/2", "Error"),
        (SPEC, {"phase": "Failed", "containerStatuses": [ended(3)]}, {}, "0/2", "ExitCode:3"),
        (SPEC, {"phase": "Failed", "containerStatuses": [ended(137, signal=9)]}, {}, "0/2", "Signal:9"),
        (
            SPEC,
            {"phase": "Running", "containerStatuses": [ended(0, reason="Completed"), RUNNING]},
            {},
            "1/2",
            "NotReady",
        ),
        (
            SPEC,
            {
                "phase": "Running",
                "containerStatuses": [ended(0, reason="Completed"), RUNNING],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
            {},
            "1/2",
            "Running",
        ),
        (SPEC, {"phase": "Running", "containerStatuses": [RUNNING, RUNNING]}, DELETED, "2/2", "Terminating"),
        (SPEC, {"phase": "Running", "reason": "NodeLost"}, DELETED, "0/2", "Unknown"),
        (SPEC, {"phase": "Failed", "containerStatuses": [ended(1, reason="Error")]}, DELETED, "0/2", "Error"),
        (INIT_SPEC, {"phase": "Pending", "initContainerStatuses": [waiting("PodInitializing")]}, {}, "0/2", "Init:0/2"),
        (INIT_SPEC, {"phase": "Pending", "initContainerStatuses": [ended(0), RUNNING]}, {}, "0/2", "Init:1/2"),
        (
            INIT_SPEC,
            {"phase": "Pending", "initContainerStatuses": [waiting("ErrImagePull")]},
            {},
            "0/2",
            "Init:ErrImagePull",
        ),
        (INIT_SPEC, {"phase": "Pending", "initContainerStatuses": [ended(1, reason="Error")]}, {}, "0/2", "Init:Error"),
        (INIT_SPEC, {"phase": "Pending", "initContainerStatuses": [ended(2)]}, {}, "0/2", "Init:ExitCode:2"),
        (
            SIDECAR_SPEC,
            {
                "phase": "Running",
                "initContainerStatuses": [RUNNING | {"name": "s", "started": True}],
                "containerStatuses": [RUNNING, RUNNING],
            },
            {},
            "3/3",
            "Running",
        ),
        (
            SPEC,
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            {},
            "0/2",
            "SchedulingGated",
        ),
    ],
)
def test_pod_status(spec: Any, status: Any, metadata: Any, ready: str, shown: str) -> None:
    assert cells(POD, metadata=metadata, spec=spec, status=status)[1:3] == [ready, shown]


def test_pod_restarts() -> None:
    crashed = {"restartCount": 2, "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:04:55Z"}}}
    status = {"phase": "Running", "containerStatuses": [RUNNING | crashed, RUNNING], "podIP": "10.44.1.2"}
    assert cells(POD, spec=SPEC, status=status) == [
        "web",
        "2/2",
        "Running",
        "2 (5s ago)",
        "5m",
        "10.44.1.2",
        "node-1",
        "<none>",
        "<none>",
    ]


def test_workloads(create: Make, deployment: Make) -> None:
    body = create(DEPLOYMENT, deployment())
    status = {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}
    wide = ["web", "nginx:1.27", "app=web"]
    assert cells(DEPLOYMENT, spec=body["spec"], status=status) == ["web", "2/3", "3", "1", "5m", *wide]
    assert cells(REPLICA_SET, spec=body["spec"], status=status) == ["web", 3, 3, 2, "5m", *wide]
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}
    revision = cells(CONTROLLER_REVISION, metadata={"ownerReferences": [owner]}, revision=4)
    assert revision == ["web", "daemonset.apps/d", "4", "5m"]


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"type": "ClusterIP", "clusterIP": "10.48.0.9"}, {}, ["ClusterIP", "10.48.0.9", "<none>", "80/TCP"]),
        ({"type": "LoadBalancer", "clusterIP": "10.48.0.9"}, {}, ["LoadBalancer", "10.48.0.9", "<pending>", "80/TCP"]),
        (
            {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]},
            {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
            ["LoadBalancer", "<none>", "203.0.113.1", "80:30080/TCP"],
        ),
        (
            {"type": "ExternalName", "externalName": "a.example", "ports": []},
            {},
            ["ExternalName", "<none>", "a.example", "<none>"],
        ),
    ],
)
def test_services(spec: Any, status: Any, expected: list[str]) -> None:
    full = {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "web"}} | spec
    assert cells(SERVICE, spec=full, status=status) == ["web", *expected, "5m", "app=web"]


def test_endpoints() -> None:
    addresses = [{"ip": f"10.44.0.{number}"} for number in range(2, 7)]
    subsets = [{"addresses": addresses, "ports": [{"port": 80}]}]
    assert cells(ENDPOINTS, subsets=subsets)[1] == "10.44.0.2:80,10.44.0.3:80,10.44.0.4:80 + 2 more..."
    assert cells(ENDPOINTS)[1] == "<none>"
    endpoints = [{"addresses": ["10.44.0.2"]}, {"addresses": ["10.44.0.3"]}]
    sliced = cells(ENDPOINT_SLICE, addressType="IPv4", endpoints=endpoints, ports=[{"port": 80}, {"name": "any"}])
    assert sliced == ["web", "IPv4", "80,*", "10.44.0.2,10.44.0.3", "5m"]
    assert cells(ENDPOINT_SLICE, addressType="IPv4", endpoints=[])[2:4] == ["<unset>", "<unset>"]


def test_nodes() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.128.0.11"}],
        "nodeInfo": {
            "kubeletVersion": "v1.37.0",
            "osImage": "Debian",
            "kernelVersion": "6",
            "containerRuntimeVersion": "c://1",
        },
    }
    labels = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}
    shown = cells(NODE, metadata={"labels": labels}, spec={"unschedulable": True}, status=status)
    assert shown == [
        "web",
        "Ready,SchedulingDisabled",
        "control-plane,worker",
        "5m",
        "v1.37.0",
        "10.128.0.11",
        "<none>",
        "Debian",
        "6",
        "c://1",
    ]
    assert cells(NODE)[1:3] == ["Unknown", "<none>"]


def test_events() -> None:
    event = {
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        "source": {"component": "kubelet", "host": "node-1"},
        "type": "Normal",
        "reason": "Pulled",
        "message": "Container image already present\n",
        "firstTimestamp": CREATED,
        "lastTimestamp": "2026-01-01T00:04:00Z",
        "count": 3,
    }
    assert cells(EVENT, **event) == [
        "60s",
        "Normal",
        "Pulled",
        "pod/p",
        "spec.containers{a}",
        "kubelet, node-1",
        "Container image already present",
        "5m",
        3,
        "web",
    ]
