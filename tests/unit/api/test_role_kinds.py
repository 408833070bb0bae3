"""Roles and bindings: defaults, errors, what never changes, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from controlplane.api.tables import table

Make = Callable[..., Any]

GROUP = "rbac.authorization.k8s.io"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


def role(*rules: Any, **fields: Any) -> Any:
    return {"metadata": {"name": "Reader:of.pods"}, "rules": list(rules), **fields}


def binding(*subjects: Any, **reference: Any) -> Any:
    found = {"kind": "ClusterRole", "name": "view"} | reference
    return {"metadata": {"name": "b"}, "roleRef": found, "subjects": list(subjects)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (PODS, []),
        (PODS | {"verbs": []}, ["rules[0].verbs: Required value: verbs must contain at least one value"]),
        (
            {"verbs": ["get"]},
            [
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
            ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
        ),
    ],
)
def test_rules_of_a_role(errors: Make, rule: Any, expected: list[str]) -> None:
    assert errors(ROLE, role(rule)) == expected


def test_urls_and_resources_are_rules_of_their_own(errors: Make) -> None:
    assert errors(CLUSTER_ROLE, role({"verbs": ["get"], "nonResourceURLs": ["/x"]})) == []
    text = "rules cannot apply to both regular resources and non-resource URLs"
    assert errors(CLUSTER_ROLE, role(PODS | {"nonResourceURLs": ["/x"]})) == [
        f'rules[0].nonResourceURLs: Invalid value: ["/x"]: {text}'
    ]


def test_an_aggregation_rule_selects_something(errors: Make) -> None:
    assert errors(CLUSTER_ROLE, role(aggregationRule={})) == [
        "aggregationRule.clusterRoleSelectors: Required value: "
        "at least one clusterRoleSelector required if aggregationRule is non-nil"
    ]
    selector = {"matchExpressions": [{"key": "a", "operator": "Like"}]}
    (error,) = errors(CLUSTER_ROLE, role(aggregationRule={"clusterRoleSelectors": [selector]}))
    assert error.startswith("aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value")


@pytest.mark.parametrize(("name", "text"), [("a/b", "may not contain '/'"), ("..", "may not be '..'")])
def test_names_are_one_segment_of_a_path(errors: Make, name: str, text: str) -> None:
    body = role(PODS) | {"metadata": {"name": name}}
    assert errors(ROLE, body) == [f'metadata.name: Invalid value: "{name}": {text}']


def test_binding_defaults(create: Make) -> None:
    made = create(ROLE_BINDING, binding({"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "robot"}))
    assert made["roleRef"] == {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}
    assert made["subjects"] == [
        {"apiGroup": GROUP, "kind": "User", "name": "jane"},
        {"kind": "ServiceAccount", "name": "robot"},
    ]


def test_subjects_and_references_that_are_none(errors: Make) -> None:
    body = binding({"kind": "Robot", "name": "x"}, {"kind": "User"}, kind="Role")
    assert errors(CLUSTER_ROLE_BINDING, body) == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
        "subjects[1].name: Required value",
        'subjects[1].name: Invalid value: "": user name cannot be empty',
    ]
    account = {"kind": "ServiceAccount", "name": "robot"}
    assert errors(CLUSTER_ROLE_BINDING, binding(account)) == ["subjects[0].namespace: Required value"]
    assert errors(ROLE_BINDING, binding(account)) == []


def test_a_role_reference_never_changes(create: Make, update: Make) -> None:
    made = create(ROLE_BINDING, binding({"kind": "User", "name": "jane"}))
    other = made | {"roleRef": made["roleRef"] | {"name": "edit"}}
    with pytest.raises(Invalid, match=r"roleRef: Invalid value: .*: cannot change roleRef"):
        update(ROLE_BINDING, other, made)
    assert update(ROLE_BINDING, made | {"subjects": []}, made).get("subjects", []) == []


def test_cells(create: Make) -> None:
    made = create(
        ROLE_BINDING,
        binding(
            {"kind": "User", "name": "jane"},
            {"kind": "User", "name": "joe"},
            {"kind": "Group", "name": "devs"},
            {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"},
        ),
    )
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    (row,) = table(ROLE_BINDING, [made], {}, now=1767225600.0 + 300)["rows"]
    assert row["cells"] == ["b", "ClusterRole/view", "5m", "jane, joe", "devs", "ci/robot"]
    stored = create(ROLE, role(PODS))
    stored["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    (row,) = table(ROLE, [stored], {})["rows"]
    assert row["cells"] == ["Reader:of.pods", "2026-01-01T00:00:00Z"]
