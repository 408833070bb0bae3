"""kubectl's ways of writing, against a real server: apply, diff, patch, edit, replace, label, explain, get."""

from __future__ import annotations

import asyncio
from typing import Any

import yaml

from tests.api.conftest import Kubectl


def deployment(**spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]},
    }
    selector = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}},
        "spec": {"replicas": 2, "selector": selector, "template": template, **spec},
    }


async def stored(kubectl: Kubectl, *what: str) -> Any:
    done = await kubectl("get", *what, "-o", "yaml")
    assert done.status == 0, done.stderr
    return yaml.safe_load(done.stdout)


async def test_apply_creates_changes_and_prunes(kubectl: Kubectl) -> None:
    done = await kubectl("apply", "-f", "-", stdin=deployment())
    assert (done.stdout, done.stderr) == ("deployment.apps/web created\n", "")
    done = await kubectl("apply", "-f", "-", stdin=deployment())
    assert (done.stdout, done.stderr) == ("deployment.apps/web unchanged\n", "")
    changed = deployment(replicas=4)
    del changed["metadata"]["labels"]["b"]
    container = changed["spec"]["template"]["spec"]["containers"][0]
    del container["ports"]
    container["env"] = [{"name": "A", "value": "b"}]
    done = await kubectl("diff", "-f", "-", stdin=changed)
    assert done.status == 1, done.stderr
    assert "+  replicas: 4" in done.stdout
    done = await kubectl("apply", "-f", "-", stdin=changed)
    assert (done.stdout, done.stderr) == ("deployment.apps/web configured\n", "")
    found = await stored(kubectl, "deployment", "web")
    assert found["spec"]["replicas"] == 4
    assert found["metadata"]["labels"] == {"a": "1"}
    assert found["metadata"]["generation"] == 2
    now = found["spec"]["template"]["spec"]["containers"][0]
    assert "ports" not in now
    assert now["env"] == [{"name": "A", "value": "b"}]
    done = await kubectl("diff", "-f", "-", stdin=changed)
    assert (done.status, done.stdout) == (0, ""), done.stderr


async def test_every_type_of_patch(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=deployment())
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}'
    done = await kubectl("patch", "deployment", "web", "-p", strategic)
    assert done.stdout == "deployment.apps/web patched\n", done.stderr
    done = await kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"a":null}}}')
    assert done.stdout == "deployment.apps/web patched\n", done.stderr
    replicas = '[{"op":"replace","path":"/spec/replicas","value":5}]'
    done = await kubectl("patch", "deployment", "web", "--type=json", "-p", replicas)
    assert done.stdout == "deployment.apps/web patched\n", done.stderr
    found = await stored(kubectl, "deployment", "web")
    assert [one["name"] for one in found["spec"]["template"]["spec"]["containers"]] == ["side", "web"]
    assert found["metadata"]["labels"] == {"b": "2"}
    assert found["spec"]["replicas"] == 5
    done = await kubectl("patch", "deployment", "web", "-p", '{"spec":{"selector":{"matchLabels":{"app":"x"}}}}')
    assert done.status == 1
    assert "field is immutable" in done.stderr
    done = await kubectl("patch", "deployment", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/none"}]')
    assert done.stderr == "The request is invalid: the server rejected our request due to an error in our request\n"


async def test_scale_label_annotate_set_image_and_replace(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=deployment())
    commands = [
        ("scale", "deployment", "web", "--replicas=7"),
        ("label", "deployment", "web", "c=3", "a-"),
        ("annotate", "deployment", "web", "note=x"),
        ("set", "image", "deployment/web", "web=nginx:1.28"),
        ("set", "env", "deployment/web", "A=b"),
        ("set", "resources", "deployment/web", "--limits=cpu=200m,memory=512Mi"),
    ]
    for command in commands:
        done = await kubectl(*command)
        assert done.status == 0, (command, done.stderr)
    found = await stored(kubectl, "deployment", "web")
    assert found["spec"]["replicas"] == 7
    assert found["metadata"]["labels"] == {"b": "2", "c": "3"}
    container = found["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("nginx:1.28", [{"name": "A", "value": "b"}])
    assert container["resources"] == {"limits": {"cpu": "200m", "memory": "512Mi"}}
    done = await kubectl("replace", "-f", "-", stdin=deployment())
    assert done.stdout == "deployment.apps/web replaced\n", done.stderr
    assert (await stored(kubectl, "deployment", "web"))["spec"]["replicas"] == 2


async def test_wrong_manifests_are_refused_in_upstreams_words(kubectl: Kubectl) -> None:
    wrong = deployment()
    del wrong["spec"]["selector"]
    del wrong["spec"]["template"]["spec"]["containers"][0]["image"]
    done = await kubectl("apply", "-f", "-", stdin=wrong)
    assert done.stderr == (
        'The Deployment "web" is invalid: \n'
        "* spec.selector: Required value\n"
        '* spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`\n'
        "* spec.template.spec.containers[0].image: Required value\n"
    )
    misspelt = deployment(replica=3)
    done = await kubectl("apply", "-f", "-", stdin=misspelt)
    assert done.stderr == (
        'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be handled '
        'as a Deployment: strict decoding error: unknown field "spec.replica"\n'
    )
    done = await kubectl("apply", "--validate=warn", "-f", "-", stdin=misspelt)
    assert done.stderr == 'Warning: unknown field "spec.replica"\n'
    done = await kubectl("apply", "-f", "-", stdin=deployment(replicas="two"))
    assert "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" in done.stderr


async def test_get_prints_the_servers_columns(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=deployment())
    done = await kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort")
    assert done.stdout == "service/web exposed\n", done.stderr
    done = await kubectl("get", "deploy,svc", "-o", "wide")
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert lines[1][:2] == ["deployment.apps/web", "0/2"]
    assert lines[2] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"]
    done = await kubectl("get", "all")
    assert "deployment.apps/web" in done.stdout
    done = await kubectl("get", "deploy", "-L", "a", "--sort-by=.metadata.name", "-l", "a in (1,2)")
    assert done.stdout.split()[5:7] == ["A", "web"], done.stderr
    done = await kubectl("get", "deploy", "--field-selector=spec.replicas=2")
    assert '"spec.replicas" is not a known field selector' in done.stderr


async def test_explain_and_api_resources(kubectl: Kubectl) -> None:
    pods, strategy, recursive, resources = await asyncio.gather(
        kubectl("explain", "pods"),
        kubectl("explain", "deployment.spec.strategy"),
        kubectl("explain", "svc.spec.ports", "--recursive"),
        kubectl("api-resources", "--namespaced", "-o", "wide"),
    )
    assert pods.stdout.startswith("KIND:       Pod\nVERSION:    v1\n"), pods.stderr
    assert "FIELD: strategy <DeploymentStrategy>" in strategy.stdout
    assert "  targetPort\t<IntOrString>" in recursive.stdout
    assert any(line.split()[:3] == ["deployments", "deploy", "apps/v1"] for line in resources.stdout.splitlines())
