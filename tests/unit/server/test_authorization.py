"""Who may do what, asked of a registry in process: roles, aggregation, escalation, nodes, the default roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import product, starmap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import Forbidden, NotFound
from controlplane.api.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    LEASE,
    NODE,
    PERSISTENT_VOLUME,
    POD,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    VOLUME_ATTACHMENT,
)
from controlplane.api.selectors import parse_fields
from controlplane.api.types import Kind, Object
from controlplane.server.assembly import open_registry
from controlplane.server.authorization import Action, authorize
from controlplane.server.postings import post
from controlplane.server.rbac.authorizer import RoleAuthorizer
from controlplane.server.rbac.rules import Rule, compact, missing
from controlplane.server.registry import Registry
from controlplane.server.requests import AUTHENTICATED, DeleteOptions, User, WriteOptions
from controlplane.store import Key

JANE = User("jane", ("devs", AUTHENTICATED))
ROBOT = User("system:serviceaccount:default:robot", ("system:serviceaccounts", AUTHENTICATED))
NODE_1 = User("system:node:node-1", ("system:nodes", AUTHENTICATED))
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
HELD = "is attempting to grant RBAC permissions not currently held:"


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "state.db") as opened:
        yield opened


async def make(registry: Registry, kind: Kind, name: str, user: User | None = None, **fields: Any) -> Object:
    options = WriteOptions(user=user) if user else WriteOptions()
    labels = fields.pop("labels", {})
    body = {"metadata": {"name": name, "labels": labels}, **fields}
    revision = await registry.create(kind, "default" if kind.namespaced else "", body, options)
    return revision.decode()


async def bind(registry: Registry, kind: Kind, role: str, *subjects: Object, user: User | None = None) -> Object:
    role_kind, _, name = role.rpartition("/")
    reference = {"kind": role_kind, "name": name}
    return await make(registry, kind, f"{name}-bound", user, roleRef=reference, subjects=list(subjects))


def user(name: str) -> Object:
    return {"kind": "User", "name": name}


def may(registry: Registry, who: User, verb: str, resource: str, **more: str) -> bool:
    resource, _, subresource = resource.partition("/")
    fields = parse_fields(POD, more.pop("fields")) if "fields" in more else None
    more = {"namespace": "default"} | more
    action = Action(verb, resource=resource, subresource=subresource, fields=fields, **more)
    return registry.authorizer.decide(who, action).allowed


@pytest.mark.parametrize(
    ("rule", "action", "allowed"),
    [
        (Rule(("get",), ("",), ("pods",)), Action("get", resource="pods"), True),
        (Rule(("get",), ("",), ("pods",)), Action("list", resource="pods"), False),
        (Rule(("get",), ("",), ("pods",)), Action("get", "apps", "pods"), False),
        (Rule(("get",), ("",), ("pods",)), Action("get", resource="pods", subresource="log"), False),
        (Rule(("*",), ("*",), ("*",)), Action("get", "apps", "deployments", "scale"), True),
        (Rule(("get",), ("*",), ("*/scale",)), Action("get", "apps", "deployments", "scale"), True),
        (Rule(("get",), ("*",), ("*/scale",)), Action("get", "apps", "deployments"), False),
        (Rule(("get",), ("",), ("pods",), ("a",)), Action("get", resource="pods", name="a"), True),
        (Rule(("get",), ("",), ("pods",), ("a",)), Action("get", resource="pods", name="b"), False),
        (Rule(("list",), ("",), ("pods",), ("a",)), Action("list", resource="pods"), False),
        (Rule(("get",), urls=("/api/*",)), Action("get", path="/api/v1"), True),
        (Rule(("get",), urls=("/api/*",)), Action("get", path="/api"), False),
        (Rule(("*",), ("*",), ("*",)), Action("get", path="/metrics"), False),
    ],
)
def test_what_a_rule_allows(rule: Rule, action: Action, allowed: bool) -> None:
    assert rule.allows(action, action.full_resource) is allowed


def test_what_rules_cover() -> None:
    held = [Rule(("get", "list"), ("",), ("pods", "*/scale")), Rule(("get",), ("apps",), ("*",), ("web",))]
    assert missing(held, [Rule(("get",), ("",), ("pods", "deployments/scale"), ("any",))]) == []
    assert missing(held, [Rule(("get",), ("apps",), ("deployments",), ("web",))]) == []
    lacking = missing(held, [Rule(("get", "watch", "patch"), ("",), ("pods",)), Rule(("get",), ("apps",), ("x",))])
    assert [rule.text() for rule in compact(lacking)] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "patch"]}',
        '{APIGroups:["apps"], Resources:["x"], Verbs:["get"]}',
    ]


def some(*values: str, least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True).map(tuple)


RULES = st.one_of(
    st.builds(
        Rule,
        some("get", "list", "*"),
        some("", "apps", "*"),
        some("pods", "pods/log", "*/log", "*"),
        some("a", "b", least=0),
    ),
    st.builds(lambda verbs, urls: Rule(verbs, urls=urls), some("get", "list", "*"), some("/api", "/api/*", "*")),
)
ACTIONS = [
    *starmap(Action, product(("get", "list", "watch"), ("", "apps"), ("pods", "nodes"), ("", "log"), [""], ("", "a"))),
    *(Action(verb, path=path) for verb in ("get", "list", "watch") for path in ("/api", "/api/v1", "/metrics")),
]


@given(st.lists(RULES, max_size=3), RULES)
def test_what_is_covered_allows_nothing_new(held: list[Rule], wanted: Rule) -> None:
    if not missing(held, [wanted]):
        for action in ACTIONS:
            if wanted.allows(action, action.full_resource):
                assert any(rule.allows(action, action.full_resource) for rule in held), action


async def test_bindings_give_and_take_at_once(registry: Registry) -> None:
    assert not may(registry, JANE, "get", "pods")
    await make(registry, ROLE, "reader", rules=[PODS])
    await bind(registry, ROLE_BINDING, "Role/reader", {"kind": "Group", "name": "devs"})
    assert may(registry, JANE, "get", "pods")
    assert not may(registry, JANE, "get", "pods", namespace="kube-system")
    assert not may(registry, JANE, "get", "pods", namespace="")
    role = registry.get(ROLE, "reader", "default").decode()
    role["rules"][0]["verbs"] = ["watch"]
    await registry.update(ROLE, "reader", "default", role, WriteOptions())
    assert (may(registry, JANE, "get", "pods"), may(registry, JANE, "watch", "pods")) == (False, True)
    await registry.delete(ROLE_BINDING, "reader-bound", "default", DeleteOptions())
    assert not may(registry, JANE, "watch", "pods")


async def test_a_cluster_role_in_one_namespace_or_in_all(registry: Registry) -> None:
    account = {"kind": "ServiceAccount", "name": "robot"}
    await bind(registry, ROLE_BINDING, "ClusterRole/view", account)
    assert may(registry, ROBOT, "list", "services")
    assert not may(registry, ROBOT, "list", "services", namespace="kube-system")
    assert not may(registry, ROBOT, "get", "secrets")
    await bind(registry, CLUSTER_ROLE_BINDING, "ClusterRole/edit", account | {"namespace": "default"})
    assert may(registry, ROBOT, "create", "services", namespace="kube-system")
    assert not may(registry, ROBOT, "create", "roles", group=ROLE.group)


async def test_reasons(registry: Registry) -> None:
    await bind(registry, CLUSTER_ROLE_BINDING, "ClusterRole/lost", user("jane"))
    action = Action("list", resource="pods", namespace="default")
    text = (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default": '
        'RBAC: clusterrole.rbac.authorization.k8s.io "lost" not found'
    )
    with pytest.raises(Forbidden) as refused:
        authorize(registry.authorizer, JANE, action)
    assert refused.value.message == text
    await bind(registry, ROLE_BINDING, "ClusterRole/view", user("jane"))
    assert registry.authorizer.decide(JANE, action).reason == (
        'RBAC: allowed by RoleBinding "view-bound/default" of ClusterRole "view" to User "jane"'
    )


async def test_aggregated_roles_hold_what_their_sources_hold(registry: Registry) -> None:
    def rules(name: str) -> list[Any]:
        latest = registry.store.latest(Key(CLUSTER_ROLE.resource, "", name))
        assert latest is not None
        found: list[Any] = latest.document.get("rules", [])
        return found

    widgets = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}
    label = "rbac.authorization.k8s.io/aggregate-to-view"
    assert all(rule in rules("admin") for rule in rules("view"))
    await make(registry, CLUSTER_ROLE, "widgets", rules=[widgets], labels={label: "true"})
    assert all(widgets in rules(name) for name in ("view", "edit", "admin"))
    await bind(registry, ROLE_BINDING, "ClusterRole/admin", user("jane"))
    assert may(registry, JANE, "get", "widgets", group="example.com")
    await registry.delete(CLUSTER_ROLE, "widgets", "", DeleteOptions())
    assert not may(registry, JANE, "get", "widgets", group="example.com")
    assert not any(widgets in rules(name) for name in ("view", "edit", "admin"))


async def test_a_circle_of_aggregated_roles_ends(registry: Registry) -> None:
    def collecting(label: str) -> Object:
        return {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}

    await make(registry, CLUSTER_ROLE, "a", aggregationRule=collecting("to-a"), labels={"to-b": "true"})
    await make(registry, CLUSTER_ROLE, "b", aggregationRule=collecting("to-b"), labels={"to-a": "true"})
    await make(registry, CLUSTER_ROLE, "pods", rules=[PODS], labels={"to-a": "true"})
    await make(registry, CLUSTER_ROLE, "more", rules=[PODS | {"verbs": ["watch"]}], labels={"to-b": "true"})
    await bind(registry, ROLE_BINDING, "ClusterRole/a", user("jane"))
    assert may(registry, JANE, "get", "pods")
    assert may(registry, JANE, "watch", "pods")


async def test_a_binding_counts_before_it_is_on_disk(registry: Registry) -> None:
    binding = asyncio.ensure_future(bind(registry, ROLE_BINDING, "ClusterRole/view", user("jane")))
    await asyncio.sleep(0)
    key = Key(ROLE_BINDING.resource, "default", "view-bound")
    assert (registry.store.get(key), registry.store.latest(key) is None) == (None, False), "staged, not committed"
    assert may(registry, JANE, "get", "pods"), "the index is built between the write and its commit"
    await binding
    assert may(registry, JANE, "get", "pods")


async def test_rules_written_into_an_aggregated_role_are_replaced(registry: Registry) -> None:
    role = registry.get(CLUSTER_ROLE, "view").decode()
    before, role["rules"] = role["rules"], [PODS]
    await registry.update(CLUSTER_ROLE, "view", "", role, WriteOptions())
    latest = registry.store.latest(Key(CLUSTER_ROLE.resource, "", "view"))
    assert latest is not None
    assert latest.document["rules"] == before


async def test_nobody_grants_what_he_does_not_hold(registry: Registry) -> None:
    await bind(registry, ROLE_BINDING, "ClusterRole/admin", user("jane"))
    await make(registry, ROLE, "reader", JANE, rules=[PODS])
    nodes = {"apiGroups": ["", "apps"], "resources": ["nodes"], "verbs": ["get", "list"]}
    with pytest.raises(Forbidden) as refused:
        await make(registry, ROLE, "nodes", JANE, rules=[PODS, nodes])
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "nodes" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) '
        f"{HELD}\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}\n'
        '{APIGroups:["apps"], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    with pytest.raises(Forbidden, match=HELD):
        await bind(registry, ROLE_BINDING, "ClusterRole/cluster-admin", user("jane"), user=JANE)
    with pytest.raises(NotFound, match=r'roles\.rbac\.authorization\.k8s\.io "lost" not found'):
        await bind(registry, ROLE_BINDING, "Role/lost", user("joe"), user=JANE)
    await bind(registry, ROLE_BINDING, "ClusterRole/edit", user("joe"), user=JANE)
    role = registry.get(ROLE, "reader", "default").decode()
    with pytest.raises(Forbidden, match=HELD):
        await registry.update(ROLE, "reader", "default", role | {"rules": [nodes]}, WriteOptions(user=JANE))


async def test_bind_and_escalate_exempt(registry: Registry) -> None:
    group = [ROLE.group]
    rules = [
        {"apiGroups": group, "resources": ["clusterroles"], "resourceNames": ["view"], "verbs": ["bind"]},
        {"apiGroups": group, "resources": ["roles"], "verbs": ["escalate"]},
    ]
    await make(registry, CLUSTER_ROLE, "granter", rules=rules)
    await bind(registry, CLUSTER_ROLE_BINDING, "ClusterRole/granter", user("jane"))
    await bind(registry, ROLE_BINDING, "ClusterRole/view", user("joe"), user=JANE)
    await make(registry, ROLE, "anything", JANE, rules=[PODS])
    with pytest.raises(Forbidden, match=HELD):
        await bind(registry, ROLE_BINDING, "ClusterRole/edit", user("joe"), user=JANE)
    aggregation = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        await make(registry, CLUSTER_ROLE, "all", JANE, aggregationRule=aggregation)


async def test_default_roles_are_mended_at_the_next_start(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    async with open_registry(database) as registry:
        await registry.delete(CLUSTER_ROLE, "system:basic-user", "", DeleteOptions())
        role = registry.get(CLUSTER_ROLE, "system:kube-dns").decode()
        role["rules"] = [PODS]
        await registry.update(CLUSTER_ROLE, "system:kube-dns", "", role, WriteOptions())
        own = registry.get(CLUSTER_ROLE, "system:node-proxier").decode()
        own["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
        own["rules"] = [PODS]
        await registry.update(CLUSTER_ROLE, "system:node-proxier", "", own, WriteOptions())
        binding = registry.get(CLUSTER_ROLE_BINDING, "system:discovery").decode()
        await registry.update(CLUSTER_ROLE_BINDING, "system:discovery", "", binding | {"subjects": []}, WriteOptions())
    async with open_registry(database) as registry:
        assert may(registry, JANE, "create", "selfsubjectreviews", group="authentication.k8s.io", namespace="")
        assert registry.authorizer.decide(JANE, Action("get", path="/apis")).allowed
        dns = {"apiGroups": [""], "resources": ["endpoints"], "verbs": ["list"]}
        rules = registry.get(CLUSTER_ROLE, "system:kube-dns").document["rules"]
        assert rules[0] == PODS
        assert dns in rules
        assert registry.get(CLUSTER_ROLE, "system:node-proxier").document["rules"] == [PODS]
        revision = registry.store.revision
    async with open_registry(database) as registry:
        assert registry.store.revision == revision, "a start that finds all in order writes nothing"


@pytest.mark.parametrize("finalizers", [[], ["example.com/held"]])
async def test_a_default_binding_of_another_role_is_made_anew(tmp_path: Path, finalizers: list[str]) -> None:
    database, name = tmp_path / "state.db", "system:discovery"
    async with open_registry(database) as registry:
        await registry.delete(CLUSTER_ROLE_BINDING, name, "", DeleteOptions())
        metadata = {"name": name, "finalizers": finalizers}
        body = {"metadata": metadata, "roleRef": {"kind": "ClusterRole", "name": "view"}}
        await registry.create(CLUSTER_ROLE_BINDING, "", body, WriteOptions())
    async with open_registry(database) as registry:
        found = registry.get(CLUSTER_ROLE_BINDING, name).document
        assert found["roleRef"]["name"] == ("view" if finalizers else name)
        assert ("deletionTimestamp" in found["metadata"]) == bool(finalizers)


async def test_a_decision_looks_only_at_what_binds_the_user(registry: Registry) -> None:
    for number in range(50):
        await make(registry, CLUSTER_ROLE_BINDING, f"b{number}", roleRef={"kind": "ClusterRole", "name": "view"})
    await bind(registry, ROLE_BINDING, "ClusterRole/edit", user("jane"))
    assert isinstance(registry.authorizer, RoleAuthorizer)
    bound = registry.authorizer.index.bindings(JANE, "default")
    assert {one.role.name for one in bound} == {
        "edit",
        "system:basic-user",
        "system:discovery",
        "system:public-info-viewer",
    }


def pod_on(node: str, name: str, **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x"}], **spec},
    }


async def test_a_node_reads_what_its_pods_refer_to(registry: Registry) -> None:
    options = WriteOptions()
    secret = {"name": "s", "secret": {"secretName": "tls"}}
    projected = {"name": "p", "projected": {"sources": [{"configMap": {"name": "settings"}}]}}
    environment = [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]
    container = {"name": "c", "image": "x", "env": environment, "envFrom": [{"configMapRef": {"name": "all"}}]}
    spec = {"volumes": [secret, projected], "containers": [container], "imagePullSecrets": [{"name": "pull"}]}
    await registry.create(POD, "default", pod_on("node-1", "a", **spec), options)
    await registry.create(
        POD, "default", pod_on("node-2", "b", volumes=[secret | {"secret": {"secretName": "other"}}]), options
    )
    for resource, name in (("secrets", "tls"), ("secrets", "key"), ("secrets", "pull"), ("configmaps", "settings")):
        assert may(registry, NODE_1, "get", resource, name=name)
    assert may(registry, NODE_1, "watch", "configmaps", name="all")
    assert may(registry, NODE_1, "create", "serviceaccounts/token", name="default")
    assert not may(registry, NODE_1, "get", "secrets", name="other")
    assert not may(registry, NODE_1, "list", "secrets")
    assert not may(registry, NODE_1, "delete", "secrets", name="tls")
    assert not may(registry, NODE_1, "create", "serviceaccounts/token", name="robot")
    assert may(registry, NODE_1, "get", "pods", name="a")
    assert not may(registry, NODE_1, "get", "pods", name="b")
    assert may(registry, NODE_1, "list", "pods", namespace="", fields="spec.nodeName==node-1")
    assert not may(registry, NODE_1, "list", "pods", namespace="", fields="spec.nodeName!=node-1")
    assert not may(registry, NODE_1, "list", "pods", namespace="", fields=r"spec.nodeName!=x\,spec.nodeName=node-1")
    assert not may(registry, NODE_1, "list", "pods", namespace="")
    assert may(registry, NODE_1, "get", "nodes", namespace="", name="node-1")
    assert not may(registry, NODE_1, "get", "nodes", namespace="", name="node-2")
    assert may(registry, NODE_1, "list", "services", namespace="")
    assert not may(registry, NODE_1, "create", "services")


async def test_a_node_reads_the_volumes_of_its_pods(registry: Registry) -> None:
    options = WriteOptions()
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claimed = [
        {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": wanted}}},
    ]
    await registry.create(POD, "default", pod_on("node-1", "a", volumes=claimed), options)
    for name, claim in (("mine", "data"), ("other", "else")):
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
            "claimRef": {"namespace": "default", "name": claim},
        }
        await registry.create(PERSISTENT_VOLUME, "", {"metadata": {"name": name}, "spec": spec}, options)
    for node in ("node-1", "node-2"):
        spec = {"attacher": "d", "nodeName": node, "source": {"persistentVolumeName": "mine"}}
        await registry.create(VOLUME_ATTACHMENT, "", {"metadata": {"name": node}, "spec": spec}, options)
    for resource, name, namespace, allowed in (
        ("persistentvolumeclaims", "data", "default", True),
        ("persistentvolumeclaims", "a-own", "default", True),
        ("persistentvolumeclaims", "else", "default", False),
        ("persistentvolumes", "mine", "", True),
        ("persistentvolumes", "other", "", False),
    ):
        assert may(registry, NODE_1, "get", resource, namespace=namespace, name=name) == allowed
        assert not may(registry, NODE_1, "list", resource, namespace=namespace)
    assert may(registry, NODE_1, "patch", "persistentvolumeclaims/status", name="data")
    assert not may(registry, NODE_1, "patch", "persistentvolumeclaims/status", name="else")
    for resource, verb in (("volumeattachments", "get"), ("csinodes", "update")):
        for node in ("node-1", "node-2"):
            action = Action(verb, "storage.k8s.io", resource, name=node)
            assert registry.authorizer.decide(NODE_1, action).allowed == (node == "node-1")


async def test_a_node_evicts_its_own_pods_and_asks_for_tokens_of_those(registry: Registry) -> None:
    as_node, options = WriteOptions(user=NODE_1), WriteOptions()
    await registry.create(SERVICE_ACCOUNT, "default", {"metadata": {"name": "robot"}}, options)
    uids = {}
    for node in ("node-1", "node-2"):
        pod = await registry.create(POD, "default", pod_on(node, node, serviceAccountName="robot"), options)
        uids[node] = pod.document["metadata"]["uid"]

    async def token(**reference: str) -> Object:
        spec = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod"} | reference} if reference else {}
        return await post(registry, SERVICE_ACCOUNT, "robot", "default", "token", {"spec": spec}, as_node)

    for reference, why in (
        ({}, "node requested token not bound to a pod"),
        ({"name": "node-1"}, "node requested token with a pod binding without a uid"),
        (
            {"name": "node-2", "uid": uids["node-2"]},
            "node requested token bound to a pod scheduled on a different node",
        ),
    ):
        with pytest.raises(Forbidden, match=why):
            await token(**reference)
    assert (await token(name="node-1", uid=uids["node-1"]))["status"]["token"]
    why = 'node "node-1" can only evict pods with spec.nodeName set to itself'
    with pytest.raises(Forbidden, match=why):
        await post(registry, POD, "node-2", "default", "eviction", {"metadata": {"name": "node-2"}}, as_node)
    assert "conditions" not in registry.get(POD, "node-2", "default").document["status"]
    await post(registry, POD, "node-1", "default", "eviction", {"metadata": {"name": "node-1"}}, as_node)


async def test_a_node_writes_only_what_is_its_own(registry: Registry) -> None:
    as_node, options = WriteOptions(user=NODE_1), WriteOptions()
    await registry.create(NODE, "", {"metadata": {"name": "node-1"}}, as_node)
    with pytest.raises(Forbidden, match='node "node-1" is not allowed to modify node "node-2"'):
        await registry.create(NODE, "", {"metadata": {"name": "node-2"}}, as_node)
    await registry.create(LEASE, "kube-node-lease", {"metadata": {"name": "node-1"}}, as_node)
    with pytest.raises(Forbidden, match="can only access node lease with the same name as the requesting node"):
        await registry.create(LEASE, "kube-node-lease", {"metadata": {"name": "node-2"}}, as_node)
    for node in ("node-1", "node-2"):
        await registry.create(POD, "default", pod_on(node, node), options)
    status = {"status": {"phase": "Running"}}
    await registry.patch(POD, "node-1", "default", status, "merge", as_node, subresource="status")
    labelled = {"metadata": {"labels": {"a": "b"}}}
    with pytest.raises(Forbidden, match='node "node-1" cannot update labels through pod status'):
        await registry.patch(POD, "node-1", "default", labelled, "merge", as_node, subresource="status")
    why = 'node "node-1" can only update pod status for pods with spec.nodeName set to itself'
    with pytest.raises(Forbidden, match=why):
        await registry.patch(POD, "node-2", "default", status, "merge", as_node, subresource="status")
    with pytest.raises(Forbidden, match=r"can only delete pods with spec\.nodeName set to itself"):
        await registry.delete(POD, "node-2", "default", DeleteOptions(user=NODE_1))
    await registry.delete(POD, "node-1", "default", DeleteOptions(user=NODE_1, grace_period_seconds=0))
    taint = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    with pytest.raises(Forbidden, match='node "node-1" is not allowed to modify taints'):
        await registry.patch(NODE, "node-1", "", taint, "merge", as_node)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"serviceAccountName": "robot"}, "serviceaccounts"),
        ({"serviceAccount": "robot"}, "serviceaccounts"),
        ({"volumes": [{"name": "s", "secret": {"secretName": "tls"}}]}, "secrets"),
        ({"imagePullSecrets": [{"name": "pull"}]}, "secrets"),
        (
            {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            r"serviceaccounts \(via projected volumes\)",
        ),
        ({"volumes": [{"name": "c", "configMap": {"name": "settings"}}]}, "configmaps"),
        ({}, ""),
    ],
)
async def test_a_mirror_pod_refers_to_nothing(registry: Registry, spec: Any, what: str) -> None:
    pod = pod_on("node-1", "mirror", **spec)
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    as_node, as_anybody = WriteOptions(user=NODE_1), WriteOptions()
    if what:
        with pytest.raises(Forbidden, match=f'node "node-1" can not create pods that reference {what}$'):
            await registry.create(POD, "default", pod, as_node)
    if what not in ("", "configmaps"):
        with pytest.raises(Forbidden, match="a mirror pod may not"):
            await registry.create(POD, "default", pod, as_anybody)
        assert not may(registry, NODE_1, "create", "serviceaccounts/token", name="robot")
    else:
        await registry.create(POD, "default", pod, as_anybody if what else as_node)
