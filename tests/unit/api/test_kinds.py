"""The other kinds: defaults, errors, immutability and generation."""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    LEASE,
    NAMESPACE,
    NODE,
    PRIORITY_CLASS,
    REPLICA_SET,
    SCALE,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    TOKEN_REQUEST,
)

Make = Callable[..., Any]
MISMATCH = 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'


def test_deployment_defaults(create: Make, deployment: Make) -> None:
    body = deployment()
    del body["spec"]["replicas"]
    spec = create(DEPLOYMENT, body)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in spec["template"]["spec"]


def test_a_deployment_without_a_selector(errors: Make, deployment: Make) -> None:
    body = deployment()
    del body["spec"]["selector"]
    assert errors(DEPLOYMENT, body) == ["spec.selector: Required value", MISMATCH]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": -1}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        ({"selector": {}}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        ({"selector": {"matchLabels": {"app": "other"}}}, [MISMATCH]),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            {"strategy": {"type": "Blue"}},
            ['spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"'],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            [
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
            ],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "120%"}}},
            ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "120%": must not be greater than 100%'],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "many"}}},
            [
                'spec.strategy.rollingUpdate.maxSurge: Invalid value: "many": a valid percent string must be a numeric '
                "string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            ],
        ),
        (
            {"minReadySeconds": 600},
            ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
        ),
        (
            {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}}},
            ["spec.template.spec.containers[0].image: Required value"],
        ),
    ],
)
def test_deployment_errors(errors: Make, deployment: Make, spec: dict[str, Any], expected: list[str]) -> None:
    assert errors(DEPLOYMENT, deployment(**spec)) == expected


@pytest.mark.parametrize("kind", [DEPLOYMENT, REPLICA_SET])
def test_workload_updates(create: Make, update: Make, deployment: Make, kind: Any) -> None:
    old = create(kind, deployment())
    assert old["metadata"]["generation"] == 1
    scaled = copy.deepcopy(old)
    scaled["spec"]["replicas"] = 5
    scaled["status"] = {"replicas": 9}
    stored = update(kind, scaled, old)
    assert stored["metadata"]["generation"] == 2
    assert stored["status"] == {}
    labelled = copy.deepcopy(old)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert update(kind, labelled, old)["metadata"]["generation"] == 1
    moved = copy.deepcopy(old)
    moved["spec"]["selector"] = {"matchLabels": {"app": "web", "x": "y"}}
    moved["spec"]["template"]["metadata"]["labels"]["x"] = "y"
    with pytest.raises(Invalid) as caught:
        update(kind, moved, old)
    assert str(caught.value).endswith(
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable'
    )


def test_service_defaults(create: Make, service: Make) -> None:
    balanced = create(SERVICE, service(type="LoadBalancer", sessionAffinity="ClientIP"))
    assert balanced["spec"] == {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster",
        "allocateLoadBalancerNodePorts": True,
    }
    assert balanced["status"] == {"loadBalancer": {}}
    headless = create(SERVICE, service(clusterIP="None", ports=[]))
    assert headless["spec"]["clusterIPs"] == ["None"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": []}, ["spec.ports: Required value"]),
        (
            {"ports": [{"port": 80}, {"port": 0, "name": "b", "protocol": "X"}]},
            [
                "spec.ports[0].name: Required value",
                "spec.ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                'spec.ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
                "spec.ports[1].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "a"}]},
            [
                'spec.ports[1].name: Duplicate value: "a"',
                'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}',
            ],
        ),
        (
            {"type": "Global"},
            [
                'spec.type: Unsupported value: "Global": supported values: "ClusterIP", "ExternalName", '
                '"LoadBalancer", "NodePort"'
            ],
        ),
        (
            {"ports": [{"port": 80, "nodePort": 30000}]},
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
        (
            {"type": "NodePort", "clusterIP": "None"},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            {"clusterIP": "10.0.0"},
            [
                'spec.clusterIPs[0]: Invalid value: "10.0.0": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
        ),
        (
            {"sessionAffinity": "Cookie"},
            ['spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"'],
        ),
        (
            {"loadBalancerSourceRanges": ["10.0.0.0/8"]},
            ["spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
        ),
    ],
)
def test_service_errors(errors: Make, service: Make, spec: dict[str, Any], expected: list[str]) -> None:
    assert errors(SERVICE, service(**spec)) == expected


def test_service_names(errors: Make, service: Make) -> None:
    assert errors(SERVICE, service() | {"metadata": {"name": "1st"}}) == []
    [error] = errors(SERVICE, service() | {"metadata": {"name": "First"}})
    assert error.startswith('metadata.name: Invalid value: "First": a lowercase RFC 1123 label must consist of lower')


def test_service_updates(create: Make, update: Make, service: Make) -> None:
    old = create(SERVICE, service(type="NodePort", clusterIP="10.48.0.9", ports=[{"port": 80, "nodePort": 30080}]))
    replaced = service(type="NodePort") | {"metadata": {"name": "web", "namespace": "default", "resourceVersion": "1"}}
    kept = update(SERVICE, replaced, old)["spec"]
    assert (kept["clusterIP"], kept["clusterIPs"], kept["ports"][0]["nodePort"]) == ("10.48.0.9", ["10.48.0.9"], 30080)
    moved = copy.deepcopy(old)
    moved["spec"]["clusterIP"] = "10.48.0.10"
    with pytest.raises(Invalid) as caught:
        update(SERVICE, moved, old)
    assert str(caught.value).endswith('spec.clusterIPs[0]: Invalid value: ["10.48.0.10"]: may not change once set')
    inward = copy.deepcopy(old)
    inward["spec"]["type"] = "ClusterIP"
    narrowed = update(SERVICE, inward, old)["spec"]
    assert "nodePort" not in narrowed["ports"][0]
    assert "externalTrafficPolicy" not in narrowed
    aliased = copy.deepcopy(old)
    aliased["spec"] |= {"type": "ExternalName", "externalName": "example.com"}
    assert "clusterIP" not in update(SERVICE, aliased, old)["spec"]


def test_namespaces(create: Make, update: Make, errors: Make) -> None:
    stored = create(NAMESPACE, {"metadata": {"name": "team"}})
    assert stored["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert stored["spec"] == {"finalizers": ["kubernetes"]}
    assert stored["status"] == {"phase": "Active"}
    emptied = copy.deepcopy(stored)
    emptied["spec"] = {}
    assert update(NAMESPACE, emptied, stored)["spec"] == stored["spec"]
    assert errors(NAMESPACE, {"metadata": {"name": "a.b"}}) == [
        'metadata.name: Invalid value: "a.b": must not contain dots'
    ]


def test_secrets(create: Make, update: Make, errors: Make) -> None:
    stored = create(SECRET, {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}})
    assert stored["type"] == "Opaque"
    assert stored["data"] == {"c": "ZA==", "a": b64encode(b"b").decode()}
    assert "stringData" not in stored
    assert errors(
        SECRET, {"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "", "a/b": ""}}
    ) == [
        'data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '
        "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
        "regex used for validation is '[-._a-zA-Z0-9]+')",
        "data[tls.key]: Required value",
    ]
    retyped = stored | {"type": "other/type"}
    with pytest.raises(Invalid, match='type: Invalid value: "other/type": field is immutable'):
        update(SECRET, retyped, stored)


@pytest.mark.parametrize("kind", [CONFIG_MAP, SECRET])
def test_immutable_data(create: Make, update: Make, kind: Any) -> None:
    old = create(kind, {"metadata": {"name": "c"}, "data": {"a": "YQ=="}, "immutable": True})
    with pytest.raises(Invalid, match="data: Forbidden: field is immutable when `immutable` is set"):
        update(kind, old | {"data": {"a": "Yg=="}}, old)
    with pytest.raises(Invalid, match="immutable: Forbidden: field is immutable when `immutable` is set"):
        update(kind, old | {"immutable": False}, old)


def test_nodes(create: Make, update: Make, errors: Make) -> None:
    taints = [{"key": "a", "effect": "NoRun"}, {"key": "b"}, {"key": "c", "effect": "NoSchedule"}]
    assert errors(NODE, {"metadata": {"name": "n"}, "spec": {"taints": [*taints, taints[2]]}}) == [
        'spec.taints[0].effect: Unsupported value: "NoRun": '
        'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        "spec.taints[1].effect: Required value",
        'spec.taints[3]: Duplicate value: {"key":"c","effect":"NoSchedule"}',
    ]
    old = create(NODE, {"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.44.1.0/24"]}, "status": {"phase": "x"}})
    cordoned = copy.deepcopy(old)
    cordoned["spec"]["unschedulable"] = True
    assert update(NODE, cordoned, old)["spec"]["unschedulable"] is True
    moved = copy.deepcopy(old)
    moved["spec"]["podCIDRs"] = ["10.44.2.0/24"]
    with pytest.raises(Invalid, match="node updates may not change podCIDR except"):
        update(NODE, moved, old)


def test_small_kinds(create: Make, errors: Make) -> None:
    named = {"metadata": {"name": "a"}}
    assert create(SERVICE_ACCOUNT, named)["kind"] == "ServiceAccount"
    assert errors(CONFIG_MAP, named | {"data": {"a": "x" * 1_048_577}}) == [
        "[]: Too long: may not be more than 1048576 bytes"
    ]
    assert errors(LEASE, named | {"spec": {"leaseDurationSeconds": 0}}) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    ]
    assert errors(EVENT, named | {"involvedObject": {"namespace": "other"}}) == [
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    ]
    assert errors(PRIORITY_CLASS, named | {"value": 2_000_000_000}) == [
        "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
    ]
    assert SCALE.strategy.validate({"spec": {"replicas": -1}})[0].body.startswith("Invalid value: -1")
    request: dict[str, Any] = {"spec": {"expirationSeconds": 60}}
    assert TOKEN_REQUEST.strategy.validate(request)[0].body == (
        "Invalid value: 60: may not specify a duration less than 10 minutes"
    )


def test_endpoint_slices(create: Make, update: Make, errors: Make) -> None:
    body = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{}]}
    old = create(ENDPOINT_SLICE, body)
    assert old["ports"] == [{"name": "", "protocol": "TCP"}]
    more = copy.deepcopy(old)
    more["endpoints"].append({"addresses": ["10.0.0.2"]})
    assert update(ENDPOINT_SLICE, more, old)["metadata"]["generation"] == 2
    with pytest.raises(Invalid, match='addressType: Invalid value: "FQDN": field is immutable'):
        update(ENDPOINT_SLICE, old | {"addressType": "FQDN", "endpoints": []}, old)
    assert errors(ENDPOINT_SLICE, body | {"addressType": "IPX"})[0] == (
        'addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"'
    )


def test_metadata(errors: Make) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    metadata = {
        "name": "a",
        "labels": {"app": "a b"},
        "annotations": {"a/b/c": ""},
        "ownerReferences": [owner, owner | {"name": "q"}, {"kind": "Pod"}],
        "finalizers": ["/x"],
    }
    found = errors(CONFIG_MAP, {"metadata": metadata})
    assert found[0].startswith(
        'metadata.labels: Invalid value: "a b": a valid label must be an empty string or consist'
    )
    assert found[1].startswith('metadata.annotations: Invalid value: "a/b/c": a valid label key must consist of')
    assert found[2].endswith(
        'Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q'
    )
    assert found[3:6] == [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ]
    assert found[6:] == ['metadata.finalizers: Invalid value: "/x": prefix part must be non-empty']
    assert errors(CONFIG_MAP, {}) == ["metadata.name: Required value: name or generateName is required"]


def test_metadata_updates(create: Make, update: Make) -> None:
    old = create(CONFIG_MAP, {"metadata": {"name": "a"}})
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    new = copy.deepcopy(old)
    new["metadata"] |= {"uid": "other", "finalizers": ["a/b"]}
    with pytest.raises(Invalid) as caught:
        update(CONFIG_MAP, new, old)
    assert caught.value.message == (
        'ConfigMap "a" is invalid: [metadata.finalizers: Forbidden: no new finalizers can be added if the object is '
        'being deleted, found new finalizers []string{"a/b"}, metadata.uid: Invalid value: "other": field is immutable]'
    )
