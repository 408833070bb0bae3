"""The real kubectl against the server: what it prints and stores."""

from __future__ import annotations

import asyncio
import json

from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, POD, SECRET, SERVICE
from tests.api.conftest import Kubectl, Served


async def test_version_shows_the_servers(kubectl: Kubectl) -> None:
    done = await kubectl("version")
    assert done.status == 0, done.stderr
    assert "Server Version: v1.37." in done.stdout


async def test_create_get_and_delete(kubectl: Kubectl, served: Served) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    done = await kubectl("create", "--validate=false", "-f", "-", stdin=body)
    assert done.stdout == "configmap/a created\n", done.stderr
    done = await kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}")
    assert done.stdout == "v", done.stderr
    done = await kubectl("delete", "cm", "a")
    assert done.stdout.startswith('configmap "a" deleted'), done.stderr
    done = await kubectl("get", "cm", "a")
    assert done.stderr == 'Error from server (NotFound): configmaps "a" not found\n'


async def test_what_kubectl_creates_itself_comes_as_protobuf(kubectl: Kubectl, served: Served) -> None:
    done = await kubectl("create", "deployment", "web", "--image=nginx:1.27", "--replicas=3", "--port=80")
    assert done.stdout == "deployment.apps/web created\n", done.stderr
    stored = await served.local.get(DEPLOYMENT, "web", "default")
    assert (stored["spec"]["replicas"], stored["metadata"]["labels"]) == (3, {"app": "web"})
    (container,) = stored["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:1.27"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    done = await kubectl("create", "service", "nodeport", "web", "--tcp=80:http", "--node-port=30080")
    assert done.stdout == "service/web created\n", done.stderr
    stored = await served.local.get(SERVICE, "web", "default")
    (port,) = stored["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["nodePort"]) == (80, "http", 30080)
    done = await kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    assert (await served.local.get(SECRET, "s", "default"))["data"] == {"a": "Yg=="}, done.stderr
    done = await kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert done.stdout == "admin", done.stderr


async def test_apply_changes_and_prunes_a_field(kubectl: Kubectl, served: Served) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1", "old": "x"}}
    assert (await kubectl("apply", "-f", "-", stdin=body)).stdout == "configmap/a created\n"
    assert (await kubectl("apply", "-f", "-", stdin=body)).stdout == "configmap/a unchanged\n"
    body["data"] = {"k": "2"}
    changed = await kubectl("diff", "-f", "-", stdin=body)
    assert changed.status == 1
    assert "-  old: x" in changed.stdout
    assert (await kubectl("apply", "-f", "-", stdin=body)).stdout == "configmap/a configured\n"
    assert (await served.local.get(CONFIG_MAP, "a", "default"))["data"] == {"k": "2"}


async def test_an_invalid_manifest_stores_nothing(kubectl: Kubectl, served: Served) -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Bad_Name"}, "spec": {"containers": []}}
    done = await kubectl("create", "-f", "-", stdin=body)
    assert done.status == 1
    assert 'The Pod "Bad_Name" is invalid' in done.stderr
    assert "spec.containers: Required value" in done.stderr
    assert (await served.local.list(POD)).items == []


async def test_explain_and_api_resources(kubectl: Kubectl) -> None:
    done = await kubectl("explain", "deployment.spec.strategy")
    assert "RollingUpdate" in done.stdout, done.stderr
    done = await kubectl("api-resources", "-o", "name")
    assert {"pods", "deployments.apps", "endpointslices.discovery.k8s.io"} <= set(done.stdout.split()), done.stderr


async def test_a_watch_prints_changes(kubectl: Kubectl, served: Served) -> None:
    watching = asyncio.ensure_future(kubectl("get", "cm", "-w", "--request-timeout=3s", "-o", "name"))
    await asyncio.sleep(0.4)
    await served.local.create(CONFIG_MAP, {"metadata": {"name": "late"}}, "default")
    assert "configmap/late" in (await watching).stdout


async def test_acting_as_somebody_else(kubectl: Kubectl) -> None:
    done = await kubectl("auth", "whoami", "--as=jane", "--as-group=team", "-o", "jsonpath={.status.userInfo}")
    assert done.stdout == '{"groups":["team","system:authenticated"],"username":"jane"}', done.stderr
    done = await kubectl("get", "pods", "--as=jane")
    assert 'pods is forbidden: User "jane" cannot list resource "pods"' in done.stderr
    assert (await kubectl("auth", "can-i", "list", "pods", "--as=jane")).stdout == "no\n"


async def test_what_is_not_honoured_is_printed(kubectl: Kubectl) -> None:
    labels = {"seLinuxOptions": {"level": "s0"}}
    container = {"name": "c", "image": "nginx", "securityContext": labels}
    spec = {"containers": [container], "securityContext": labels, "runtimeClassName": "gvisor"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "g"}
    await kubectl("create", "-f", "-", stdin=runtime)
    done = await kubectl("apply", "-f", "-", stdin=body)
    assert done.stdout == "pod/a created\n", done.stderr
    fields = sorted(line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("Warning: "))
    assert fields == [
        "spec.containers[0].securityContext.seLinuxOptions",
        "spec.runtimeClassName",
        "spec.securityContext.seLinuxOptions",
    ]


async def test_kinds_that_are_not_served_are_named_and_hold_up_nothing(kubectl: Kubectl, served: Served) -> None:
    claim = {"apiVersion": "v1", "kind": "ClaimOfOld", "metadata": {"name": "c"}, "spec": {}}
    old = {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}
    map_ = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    done = await kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [claim, old, map_]})
    assert (done.status, done.stdout) == (1, "configmap/a created\n")
    assert 'no matches for kind "ClaimOfOld" in version "v1"' in done.stderr
    assert 'no matches for kind "Deployment" in version "apps/v1beta1"' in done.stderr
    map_["metadata"] = {"name": "b"}
    done = await kubectl("apply", "-f", "-", stdin="".join(f"---\n{json.dumps(one)}\n" for one in (claim, map_)))
    assert (done.status, done.stdout) == (1, "configmap/b created\n"), done.stderr
    assert 'no matches for kind "ClaimOfOld" in version "v1"' in done.stderr
    assert "wire-format" not in done.stderr


async def test_the_schemas_in_protobuf_are_those_in_json(kubectl: Kubectl) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}
    done = await kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [wrong]})
    assert done.status == 1
    assert 'unknown field "dat" in io.k8s.api.core.v1.ConfigMap' in done.stderr


async def test_what_netsim_does_not_serve_it_says(kubectl: Kubectl, served: Served) -> None:
    done = await kubectl("get", "--raw=/apis/networking.k8s.io/v1/gateways")
    assert "could not find the requested resource" in done.stderr
    assert "this version of netsim does not serve gateways.networking.k8s.io" in done.stderr
    done = await kubectl("get", "--raw=/nothing")
    assert done.stderr == "Error from server (NotFound): the server could not find the requested resource\n"
