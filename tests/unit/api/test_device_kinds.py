"""Devices, webhooks, policies in CEL and flow control: what is wrong with them in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import (
    CERTIFICATE_SIGNING_REQUEST,
    DEVICE_TAINT_RULE,
    EVENT,
    FLOW_SCHEMA,
    MUTATING_ADMISSION_POLICY,
    POD_CERTIFICATE_REQUEST,
    PRIORITY_LEVEL_CONFIGURATION,
    RESOURCE_CLAIM,
    RESOURCE_SLICE,
    STORAGE_VERSION_MIGRATION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from controlplane.api.types import Kind, Object

Body = dict[str, Any]
Create = Callable[[Kind, Body], Object]
Update = Callable[[Kind, Body, Object], Object]
Errors = Callable[[Kind, Body], list[str]]

RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def of(**spec: Any) -> Body:
    return {"metadata": {"name": "web"}, "spec": spec}


def test_claims(create: Create, update: Update, errors: Errors) -> None:
    made = create(RESOURCE_CLAIM, of(devices={"requests": [{"name": "a", "exactly": {"deviceClassName": "gpu"}}]}))
    assert made["spec"]["devices"]["requests"][0]["exactly"]["count"] == 1
    with pytest.raises(Invalid, match=r"spec: Invalid value: .*: field is immutable"):
        update(RESOURCE_CLAIM, made | {"spec": {}}, made)
    wrong = {"requests": [{"name": "a"}, {"name": "a", "exactly": {"deviceClassName": "", "count": 0}}]}
    assert errors(RESOURCE_CLAIM, of(devices=wrong)) == [
        "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        'spec.devices.requests[1].name: Duplicate value: "a"',
        "spec.devices.requests[1].exactly.deviceClassName: Required value",
        "spec.devices.requests[1].exactly.count: Invalid value: 0: must be greater than zero",
    ]


def test_slices_and_taints(errors: Errors) -> None:
    pool = {"name": "a", "generation": 1, "resourceSliceCount": 0}
    assert errors(RESOURCE_SLICE, of(driver="gpu.example.com", pool=pool)) == [
        "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is "
        "required",
    ]
    assert errors(DEVICE_TAINT_RULE, of(taint={"key": "a", "effect": "Never"})) == [
        'spec.taint.effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"'
    ]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, []),
        (
            {"name": "check"},
            [
                'webhooks[0].name: Invalid value: "check": should be a domain with at least three segments separated '
                "by dots"
            ],
        ),
        ({"sideEffects": None}, ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"]),
        (
            {"timeoutSeconds": 31},
            ["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
        ),
        (
            {"admissionReviewVersions": []},
            ["webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
        ),
        ({"clientConfig": {}}, ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"]),
        (
            {"clientConfig": {"url": "http://a"}},
            [
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
                "desired format: https://host[/path]"
            ],
        ),
        ({"rules": [RULE | {"operations": []}]}, ["webhooks[0].rules[0].operations: Required value"]),
        (
            {"rules": [RULE | {"operations": ["*", "CREATE"]}]},
            [
                'webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify '
                "other operations"
            ],
        ),
    ],
)
def test_webhooks(errors: Errors, change: Body, wrong: list[str]) -> None:
    good = {
        "name": "check.example.com",
        "clientConfig": {"url": "https://127.0.0.1/check"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": [RULE],
    }
    webhook = {key: value for key, value in (good | change).items() if value is not None}
    assert errors(VALIDATING_WEBHOOK_CONFIGURATION, {"metadata": {"name": "w"}, "webhooks": [webhook]}) == wrong


def test_policies_in_cel(create: Create, errors: Errors) -> None:
    matches = {"resourceRules": [RULE]}
    made = create(VALIDATING_ADMISSION_POLICY, of(matchConstraints=matches, validations=[{"expression": "true"}]))
    assert made["spec"]["failurePolicy"] == "Fail"
    assert made["spec"]["matchConstraints"]["resourceRules"][0]["scope"] == "*"
    assert errors(VALIDATING_ADMISSION_POLICY, of()) == [
        "spec.matchConstraints: Required value",
        "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
    ]
    assert errors(VALIDATING_ADMISSION_POLICY_BINDING, of(policyName="p", validationActions=["Deny", "Warn"])) == [
        'spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the '
        "same validation failure information in the API response and headers serves no purpose)"
    ]
    assert "spec.mutations: Required value: mutations must contain at least one item" in errors(
        MUTATING_ADMISSION_POLICY, of(matchConstraints=matches)
    )


def test_flow_control(create: Create, errors: Errors) -> None:
    assert errors(FLOW_SCHEMA, of(matchingPrecedence=10001)) == [
        "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
        "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
    ]
    response = {"type": "Queue", "queuing": {}}
    made = create(PRIORITY_LEVEL_CONFIGURATION, of(type="Limited", limited={"limitResponse": response}))
    assert made["spec"]["limited"]["nominalConcurrencyShares"] == 30
    assert made["spec"]["limited"]["limitResponse"]["queuing"]["queues"] == 64
    assert errors(PRIORITY_LEVEL_CONFIGURATION, of(type="Limited")) == [
        "spec.limited: Required value: must not be empty when type is Limited"
    ]


def test_requests_for_certificates(errors: Errors) -> None:
    assert errors(CERTIFICATE_SIGNING_REQUEST, of(request="aGVsbG8=", signerName="a", expirationSeconds=5)) == [
        'spec.request: Invalid value: "aGVsbG8=": PEM block type must be CERTIFICATE REQUEST',
        "spec.usages: Required value",
        'spec.signerName: Invalid value: "a": must be a fully qualified domain and path of the form '
        "'example.com/signer-name'",
        "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
    ]
    assert "spec.podName: Required value" in errors(POD_CERTIFICATE_REQUEST, of(signerName="example.com/a"))
    assert errors(STORAGE_VERSION_MIGRATION, of()) == ["spec.resource.resource: Required value: resource is required"]


def test_events_with_a_time_of_their_own_say_who_reports_what(errors: Errors) -> None:
    about = {"kind": "Pod", "name": "web", "namespace": "default"}
    body = {"metadata": {"name": "web.1"}, "involvedObject": about}
    assert errors(EVENT, body) == []
    assert errors(EVENT, body | {"eventTime": "2026-01-01T00:00:00.000000Z"}) == [
        "reportingController: Required value",
        "reportingInstance: Required value",
        "action: Required value",
        "reason: Required value",
    ]
    assert errors(EVENT, body | {"involvedObject": about | {"namespace": "other"}}) == [
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    ]
