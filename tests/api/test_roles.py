"""Who may do what, as the real kubectl sees it: can-i, whoami, --as, and the roles that it makes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from controlplane.api.kinds import CLUSTER_ROLE, POD, ROLE, ROLE_BINDING, SERVICE_ACCOUNT

Kubectl = Callable[..., Awaitable[Any]]

REVIEWS = "/apis/authorization.k8s.io/v1"
ROBOT = "system:serviceaccount:default:robot"


async def test_can_i(kubectl: Kubectl) -> None:
    assert (await kubectl("auth", "can-i", "delete", "nodes")).stdout.endswith("yes\n")
    done = await kubectl("auth", "can-i", "create", "pods", f"--as={ROBOT}", "-n", "default")
    assert (done.status, done.stdout) == (1, "no\n")
    made = await kubectl("create", "rolebinding", "robot", "--clusterrole=edit", "--serviceaccount=default:robot")
    assert made.stdout == "rolebinding.rbac.authorization.k8s.io/robot created\n", made.stderr
    done = await kubectl("auth", "can-i", "create", "pods", f"--as={ROBOT}", "-n", "default")
    assert (done.status, done.stdout) == (0, "yes\n")
    assert (await kubectl("auth", "can-i", "create", "pods", f"--as={ROBOT}", "-n", "kube-system")).stdout == "no\n"
    assert (await kubectl("auth", "can-i", "get", "/apis", f"--as={ROBOT}")).stdout == "yes\n"
    assert (await kubectl("auth", "can-i", "get", "/metrics", f"--as={ROBOT}")).stdout == "no\n"


async def test_the_list_of_what_i_can_do(kubectl: Kubectl) -> None:
    mine = [line.split() for line in (await kubectl("auth", "can-i", "--list")).stdout.splitlines()]
    assert ["*.*", "[]", "[]", "[*]"] in mine
    assert ["[*]", "[]", "[*]"] in mine
    await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps/scale")
    await kubectl("create", "rolebinding", "reader", "--role=reader", "--user=jane")
    janes = [line.split() for line in (await kubectl("auth", "can-i", "--list", "--as=jane")).stdout.splitlines()]
    assert ["pods", "[]", "[]", "[get", "list]"] in janes
    assert ["deployments.apps/scale", "[]", "[]", "[get", "list]"] in janes
    assert ["selfsubjectreviews.authentication.k8s.io", "[]", "[]", "[create]"] in janes


async def test_roles_that_kubectl_makes(kubectl: Kubectl, served: Any) -> None:
    done = await kubectl(
        "create", "role", "one", "--verb=get", "--resource=pods,pods/log", "--resource-name=web", "--resource-name=db"
    )
    assert done.status == 0, done.stderr
    role = await served.local.get(ROLE, "one", "default")
    assert role["rules"] == [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"], "resourceNames": ["web", "db"]}
    ]
    done = await kubectl("create", "clusterrole", "urls", "--verb=get", "--non-resource-url=/metrics")
    assert done.status == 0, done.stderr
    selector = "--aggregation-rule=rbac.authorization.k8s.io/aggregate-to-view=true"
    assert (await kubectl("create", "clusterrole", "all", selector)).status == 0
    made = await served.local.get(CLUSTER_ROLE, "all")
    view = await served.local.get(CLUSTER_ROLE, "view")
    assert made["rules"] == view["rules"]
    await kubectl("create", "clusterrolebinding", "urls", "--clusterrole=urls", "--group=devs")
    assert (await kubectl("auth", "can-i", "get", "/metrics", "--as=jane", "--as-group=devs")).stdout.endswith("yes\n")
    printed = await kubectl("get", "clusterrolebindings", "urls", "-o", "wide", "--no-headers")
    assert printed.stdout.split()[:2] == ["urls", "ClusterRole/urls"]
    assert "devs" in printed.stdout
    printed = await kubectl("describe", "clusterrole", "view")
    assert "pods/log" in printed.stdout, printed.stderr


async def test_refusals_are_upstreams(kubectl: Kubectl, served: Any) -> None:
    done = await kubectl("get", "pods", "--as=x")
    assert done.stderr == (
        'Error from server (Forbidden): pods is forbidden: User "x" cannot list resource "pods" in API group "" '
        'in the namespace "default"\n'
    )
    await kubectl("create", "rolebinding", "admin", "--clusterrole=admin", "--user=x")
    assert (await kubectl("get", "pods", "--as=x")).status == 0
    done = await kubectl("create", "role", "nodes", "--verb=get", "--resource=nodes", "--as=x")
    assert "is attempting to grant RBAC permissions not currently held:" in done.stderr
    assert '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}' in done.stderr
    done = await kubectl("create", "rolebinding", "y", "--clusterrole=view", "--user=y", "--as=x")
    assert done.status == 0, done.stderr
    body = await served.local.get(ROLE_BINDING, "y", "default")
    body = body | {"roleRef": body["roleRef"] | {"name": "edit"}}
    done = await kubectl("replace", "-f", "-", stdin=body)
    assert "cannot change roleRef" in done.stderr


async def test_acting_as_others_takes_a_right_of_its_own(kubectl: Kubectl, served: Any) -> None:
    await served.local.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    token = (await kubectl("create", "token", "robot")).stdout.strip()
    options = ("--kubeconfig=/dev/null", f"--server={served.url}", f"--token={token}")
    trusted = f"--certificate-authority={served.pki.ca_certificate}"

    async def as_robot(*arguments: str) -> Any:
        return await kubectl(*arguments, *options, trusted)

    assert (await as_robot("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")).stdout == ROBOT
    done = await as_robot("get", "--raw=/api", "--as=jane")
    assert (
        f'users "jane" is forbidden: User "{ROBOT}" cannot impersonate resource "users" in API group "" '
        "at the cluster scope" in done.stderr
    )
    await kubectl("create", "clusterrole", "janes", "--verb=impersonate", "--resource=users", "--resource-name=jane")
    await kubectl("create", "clusterrolebinding", "janes", "--clusterrole=janes", "--serviceaccount=default:robot")
    done = await as_robot("auth", "whoami", "--as=jane", "-o", "jsonpath={.status.userInfo}")
    assert json.loads(done.stdout) == {"username": "jane", "groups": ["system:authenticated"]}
    assert 'groups "devs" is forbidden' in (await as_robot("get", "--raw=/api", "--as=jane", "--as-group=devs")).stderr
    done = await as_robot("get", "--raw=/api", "--as=system:serviceaccount:kube-system:default")
    assert 'serviceaccounts "default" is forbidden' in done.stderr
    assert 'in the namespace "kube-system"' in done.stderr


async def test_a_websocket_takes_the_right_to_create(kubectl: Kubectl) -> None:
    await kubectl("create", "role", "exec", "--verb=get", "--resource=pods,pods/exec,pods/log")
    await kubectl("create", "rolebinding", "exec", "--role=exec", "--user=jane")
    path = "--raw=/api/v1/namespaces/default/pods/web"
    done = await kubectl("get", f"{path}/exec?command=id", "--as=jane")
    why = 'pods "web" is forbidden: User "jane" cannot create resource "pods/exec" in API group ""'
    assert why in done.stderr
    assert 'pods "web" not found' in (await kubectl("get", f"{path}/log", "--as=jane")).stderr


async def test_a_namespace_lies_within_itself(kubectl: Kubectl) -> None:
    await kubectl("create", "role", "own", "--verb=get,watch", "--resource=namespaces")
    await kubectl("create", "rolebinding", "own", "--role=own", "--user=jane")
    assert (await kubectl("get", "namespace", "default", "-o", "name", "--as=jane")).stdout == "namespace/default\n"
    done = await kubectl("get", "namespace", "kube-system", "--as=jane")
    assert done.stderr == (
        'Error from server (Forbidden): namespaces "kube-system" is forbidden: User "jane" cannot get resource '
        '"namespaces" in API group "" in the namespace "kube-system"\n'
    )


async def test_a_list_by_name_is_of_that_name(kubectl: Kubectl) -> None:
    await kubectl("create", "role", "one", "--verb=list", "--resource=configmaps", "--resource-name=one")
    await kubectl("create", "rolebinding", "one", "--role=one", "--user=jane")
    by_name = "--field-selector=metadata.name="
    assert (await kubectl("get", "configmaps", f"{by_name}one", "--as=jane")).status == 0
    assert (await kubectl("get", "configmaps", f"{by_name}two", "--as=jane")).status == 1
    assert (await kubectl("get", "configmaps", "--as=jane")).status == 1


async def test_a_comma_within_a_value_ends_no_term(kubectl: Kubectl, session: aiohttp.ClientSession) -> None:
    await kubectl("create", "role", "one", "--verb=list", "--resource=configmaps", "--resource-name=one")
    await kubectl("create", "rolebinding", "one", "--role=one", "--user=jane")
    path, jane = "/api/v1/namespaces/default/configmaps", {"Impersonate-User": "jane"}
    for fields, code in ((r"metadata.namespace!=x\,metadata.name=one", 403), ("metadata.name==one", 200)):
        async with session.get(path, params={"fieldSelector": fields}, headers=jane) as response:
            assert response.status == code, fields


async def test_nodes_by_name(kubectl: Kubectl, served: Any) -> None:
    node = ("--as=system:node:node-1", "--as-group=system:nodes")
    done = await kubectl("get", "secret", "x", *node)
    assert "no relationship found between node 'node-1' and this object" in done.stderr
    assert (await kubectl("get", "pods", "-A", "--field-selector=spec.nodeName=node-1", *node)).status == 0
    assert (await kubectl("get", "pods", "-A", *node)).status == 1
    spec = {"containers": [{"name": "c", "image": "x"}], "nodeName": "node-2"}
    await served.local.create(POD, {"metadata": {"name": "web"}, "spec": spec}, "default")
    done = await kubectl("delete", "pod", "web", *node)
    assert 'node "node-1" can only delete pods with spec.nodeName set to itself' in done.stderr


@pytest.mark.parametrize(
    ("path", "spec", "code", "answer"),
    [
        (
            f"{REVIEWS}/subjectaccessreviews",
            {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}},
            201,
            {"allowed": False},
        ),
        (
            f"{REVIEWS}/subjectaccessreviews",
            {"user": "x", "groups": ["system:masters"], "nonResourceAttributes": {"verb": "get", "path": "/metrics"}},
            201,
            {"allowed": True},
        ),
        (f"{REVIEWS}/selfsubjectaccessreviews", {}, 422, "exactly one of nonResourceAttributes or resourceAttributes"),
        (
            f"{REVIEWS}/subjectaccessreviews",
            {"resourceAttributes": {"verb": "get", "resource": "pods"}},
            422,
            "at least one of user or group must be specified",
        ),
        (
            f"{REVIEWS}/namespaces/default/localsubjectaccessreviews",
            {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "other"}},
            422,
            "must match metadata.namespace",
        ),
        (
            f"{REVIEWS}/selfsubjectaccessreviews",
            {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"verb": "get"}},
            422,
            "cannot be specified in combination with resourceAttributes",
        ),
        (f"{REVIEWS}/selfsubjectrulesreviews", {}, 400, "no namespace on request"),
    ],
)
async def test_reviews(session: aiohttp.ClientSession, path: str, spec: Any, code: int, answer: Any) -> None:
    async with session.post(path, json={"spec": spec}) as response:
        body = await response.json()
        assert response.status == code, body
    if code == 201:
        assert body["status"] == answer
    else:
        assert answer in body["message"]


@pytest.mark.parametrize(
    ("selector", "allowed"),
    [
        ({"rawSelector": "spec.nodeName=node-1"}, True),
        ({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["node-1"]}]}, True),
        ({"requirements": [{"key": "spec.nodeName", "operator": "NotIn", "values": ["node-1"]}]}, False),
        ({"rawSelector": "spec.nodeName=node-2"}, False),
        ({"rawSelector": "no such field=x"}, False),
        (None, False),
    ],
)
async def test_a_review_may_narrow_what_it_asks_about(
    session: aiohttp.ClientSession, selector: Any, allowed: bool
) -> None:
    attributes = {"verb": "list", "resource": "pods"} | ({"fieldSelector": selector} if selector else {})
    spec = {"user": "system:node:node-1", "groups": ["system:nodes"], "resourceAttributes": attributes}
    async with session.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json={"spec": spec}) as response:
        assert (await response.json())["status"]["allowed"] is allowed


async def test_an_update_that_makes_an_object_takes_the_right_to_create(kubectl: Kubectl) -> None:
    role = ("create", "role", "updater", "--verb=get,update", "--resource=leases.coordination.k8s.io")
    assert (await kubectl(*role)).stderr == ""
    await kubectl("create", "rolebinding", "updater", "--role=updater", "--user=jane")
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    put = ("replace", "--raw", path, "-f", "-")
    done = await kubectl(*put, "--as=jane", stdin=json.dumps(body))
    assert 'User "jane" cannot create resource "leases"' in done.stderr
    assert '"name":"a"' in (await kubectl(*put, stdin=json.dumps(body))).stdout.replace(" ", "")
