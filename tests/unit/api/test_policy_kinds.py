"""Policies, budgets, quotas, ranges, autoscalers and Ingresses: defaults, and what is wrong in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import (
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    INGRESS,
    INGRESS_CLASS,
    IP_ADDRESS,
    LIMIT_RANGE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    RESOURCE_QUOTA,
    RUNTIME_CLASS,
    SERVICE_CIDR,
)
from controlplane.api.types import Kind, Object

Body = dict[str, Any]
Create = Callable[[Kind, Body], Object]
Update = Callable[[Kind, Body, Object], Object]
Errors = Callable[[Kind, Body], list[str]]


def of(**spec: Any) -> Body:
    return {"metadata": {"name": "web"}, "spec": spec}


def test_a_policy_is_about_what_it_names(create: Create) -> None:
    rule = {"ports": [{"port": 80}], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    made = create(NETWORK_POLICY, of(egress=[rule]))
    assert made["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert made["spec"]["egress"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
    assert create(NETWORK_POLICY, of())["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ({"from": [{}]}, ["spec.ingress[0].from[0]: Required value: must specify a peer"]),
        (
            {"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]},
            ["spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"],
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]},
            [
                'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, '
                "(e.g. 10.9.8.0/24 or 2001:db8::/64)"
            ],
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            [
                'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset '
                "of `cidr`"
            ],
        ),
        (
            {"ports": [{"port": 80, "endPort": 79}]},
            ["spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`"],
        ),
        (
            {"ports": [{"port": "http", "endPort": 90}]},
            ["spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric"],
        ),
        (
            {"ports": [{"protocol": "ICMP"}]},
            [
                'spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
            ],
        ),
    ],
)
def test_policies(errors: Errors, rule: Body, wrong: list[str]) -> None:
    assert errors(NETWORK_POLICY, of(ingress=[rule])) == wrong


def test_budgets(create: Create, errors: Errors) -> None:
    made = create(POD_DISRUPTION_BUDGET, of(maxUnavailable=1, selector={}))
    assert made["metadata"]["generation"] == 1
    assert made["status"]["disruptionsAllowed"] == 0
    assert errors(POD_DISRUPTION_BUDGET, of(maxUnavailable=1, minAvailable=1)) == [
        'spec: Invalid value: {"maxUnavailable":1,"minAvailable":1}: minAvailable and maxUnavailable cannot be both set'
    ]
    assert errors(POD_DISRUPTION_BUDGET, of(minAvailable="101%")) == [
        'spec.minAvailable: Invalid value: "101%": must not be greater than 100%'
    ]
    assert errors(POD_DISRUPTION_BUDGET, of(minAvailable=-1)) == [
        "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"
    ]


def test_quotas(create: Create, update: Update, errors: Errors) -> None:
    assert errors(RESOURCE_QUOTA, of(hard={"pots": "1"})) == [
        'spec.hard[pots]: Invalid value: "pots": must be a standard resource for quota'
    ]
    assert errors(RESOURCE_QUOTA, of(hard={"pods": "1500m"})) == [
        'spec.hard[pods]: Invalid value: "1500m": must be an integer'
    ]
    assert errors(RESOURCE_QUOTA, of(hard={"cpu": "-1"})) == [
        'spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'
    ]
    assert errors(RESOURCE_QUOTA, of(hard={"cpu": "1"}, scopes=["BestEffort"])) == [
        'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'
    ]
    made = create(RESOURCE_QUOTA, of(hard={"pods": "1"}, scopes=["NotBestEffort"]))
    with pytest.raises(Invalid, match=r"spec\.scopes: Invalid value: .*: field is immutable"):
        update(RESOURCE_QUOTA, made | {"spec": {"hard": {"pods": "1"}}}, made)


def test_ranges(create: Create, errors: Errors) -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}
    made = create(LIMIT_RANGE, of(limits=[item]))["spec"]["limits"][0]
    assert made["default"] == {"cpu": "2"}
    assert made["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}
    assert errors(LIMIT_RANGE, of(limits=[{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}]))[0] == (
        'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'
    )
    lower = {"type": "Container", "min": {"cpu": "2"}, "default": {"cpu": "1"}}
    assert errors(LIMIT_RANGE, of(limits=[lower])) == [
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
        'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
    ]
    assert errors(LIMIT_RANGE, of(limits=[{"type": "Pod", "default": {"cpu": "1"}}])) == [
        "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"
    ]
    assert errors(LIMIT_RANGE, of(limits=[{"type": "PersistentVolumeClaim"}])) == [
        "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, "
        "but neither was provided"
    ]
    twice = [{"type": "Pod", "max": {"cpu": "1"}}] * 2
    assert errors(LIMIT_RANGE, of(limits=twice)) == ['spec.limits[1].type: Duplicate value: "Pod"']


TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def test_an_autoscaler_watches_the_cpu(create: Create) -> None:
    made = create(HORIZONTAL_POD_AUTOSCALER, of(scaleTargetRef=TARGET, maxReplicas=3, behavior={"scaleUp": {}}))
    spec = made["spec"]
    assert (spec["minReplicas"], spec["metrics"][0]["resource"]["target"]["averageUtilization"]) == (1, 80)
    assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert spec["behavior"]["scaleDown"]["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 15}]


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"maxReplicas": 0}, ["spec.maxReplicas: Invalid value: 0: must be greater than 0"]),
        (
            {"minReplicas": 4},
            ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
        ),
        ({"scaleTargetRef": {"kind": "Deployment"}}, ["spec.scaleTargetRef.name: Required value"]),
        (
            {"metrics": [{"type": "Resource"}]},
            ["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
        ),
        (
            {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]},
            [
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw "
                "value or a target utilization"
            ],
        ),
        (
            {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 9999}}},
            [
                "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 9999: must be less than or equal "
                "to 3600"
            ],
        ),
    ],
)
def test_autoscalers(errors: Errors, spec: Body, wrong: list[str]) -> None:
    found = errors(HORIZONTAL_POD_AUTOSCALER, of(**{"scaleTargetRef": TARGET, "maxReplicas": 3} | spec))
    assert [one for one in found if one in wrong] == wrong


def test_what_v1_cannot_say_survives_it(create: Create) -> None:
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
    external = {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}}
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "Resource", "resource": memory},
        {"type": "External", "external": external},
    ]
    made = create(HORIZONTAL_POD_AUTOSCALER, of(scaleTargetRef=TARGET, maxReplicas=3, metrics=metrics, behavior={}))
    conversion = HORIZONTAL_POD_AUTOSCALER_V1.conversion
    assert conversion is not None
    shown = conversion.from_stored(made)
    assert (shown["apiVersion"], shown["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 70)
    assert "metrics" not in shown["spec"]
    assert conversion.to_stored(shown)["spec"] == made["spec"]


BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


def ingress(**path: Any) -> Body:
    start = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
    return of(rules=[{"host": "web.example.com", "http": {"paths": [start | path]}}])


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (of(), ["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"]),
        (ingress(path="web"), ['spec.rules[0].http.paths[0].path: Invalid value: "web": must be an absolute path']),
        (
            ingress(path="/a//b"),
            ["spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'"],
        ),
        (
            ingress(pathType="Regex"),
            [
                'spec.rules[0].http.paths[0].pathType: Unsupported value: "Regex": supported values: "Exact", '
                '"ImplementationSpecific", "Prefix"'
            ],
        ),
        (
            ingress(backend={"service": {"name": "web"}}),
            ["spec.rules[0].http.paths[0].backend.service: Required value: port name or number is required"],
        ),
        (
            ingress(backend={}),
            ["spec.rules[0].http.paths[0].backend: Required value: resource or service backend is required"],
        ),
        (
            of(rules=[{"host": "10.0.0.1"}]),
            ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
        ),
    ],
)
def test_ingresses(errors: Errors, body: Body, wrong: list[str]) -> None:
    assert errors(INGRESS, body) == wrong


def test_networking_data(create: Create, errors: Errors) -> None:
    assert errors(INGRESS_CLASS, of(controller="nginx")) == [
        'spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")'
    ]
    parent = {"parentRef": {"resource": "services", "name": "web"}}
    assert errors(IP_ADDRESS, {"metadata": {"name": "10.0.0.01"}, "spec": parent})[0].startswith("metadata.name: ")
    assert create(IP_ADDRESS, {"metadata": {"name": "10.0.0.1"}, "spec": parent})
    assert errors(SERVICE_CIDR, of(cidrs=["10.0.0.0/24", "10.1.0.0/24"])) == [
        'spec.cidrs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one IP for each IP family, '
        "i.e 192.168.0.0/24 and 2001:db8::/64"
    ]
    assert errors(RUNTIME_CLASS, {"metadata": {"name": "kata"}, "handler": "Kata"})[0].startswith("handler: Invalid")
