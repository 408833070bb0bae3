"""kubectl 1.20, as Debian has it: five years older than the API, and what it does works all the same."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import COMMAND_SECONDS, Cluster, run
from tests.e2e.test_streams import terminal

KUBECTL = Path(__file__).parents[2] / ".venv" / "debian" / "usr" / "bin" / "kubectl"

pytestmark = pytest.mark.skipif(
    not KUBECTL.exists(), reason=f"{KUBECTL} is not there: scripts/setup unpacks Debian's kubernetes-client"
)


class Old:
    """The old kubectl in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.prefix = [str(KUBECTL), "--kubeconfig", cluster.kubeconfig, "-n", namespace]

    def out(self, *arguments: str, stdin: str | None = None, timeout: float = COMMAND_SECONDS) -> str:
        return run(*self.prefix, *arguments, stdin=stdin, timeout=timeout).stdout

    def fails(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = run(*self.prefix, *arguments, stdin=stdin, check=False)
        assert done.returncode != 0, done.stdout
        return done


@pytest.fixture
def old(cluster: Cluster, namespace: str) -> Old:
    return Old(cluster, namespace)


def config_map(value: str) -> str:
    return f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "a"}}, "data": {{"k": "{value}"}}}}'


def test_a_deployment_lives(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old.out("create", "deployment", "web", "--image=nginx:1", "--replicas=2")
    assert "successfully rolled out" in old.out("rollout", "status", "deployment/web", "--timeout=120s")
    old.out("expose", "deployment", "web", "--port=80")
    assert "2/2 replicas created" in old.out("describe", "deployment", "web")
    assert "Normal  Started" in old.out("describe", "pod", "-l", "app=web")
    assert "80/TCP" in old.out("get", "all")
    old.out("set", "image", "deployment/web", "nginx=nginx:2")
    old.out("rollout", "status", "deployment/web", "--timeout=120s")
    assert "REVISION" in old.out("rollout", "history", "deployment/web")
    old.out("rollout", "undo", "deployment/web")
    old.out("scale", "deployment", "web", "--replicas=3")
    old.out("label", "deployment", "web", "a=b")
    old.out("annotate", "deployment", "web", "a=b")
    old.out(
        "patch", "deployment", "web", "--type=json", "-p", '[{"op": "replace", "path": "/spec/replicas", "value": 1}]'
    )
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/replicas: 1/replicas: 2/" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    assert "edited" in old.out("edit", "deployment", "web")
    seen = old.out("get", "deployment", "web", "-o", "jsonpath={.spec.replicas} {.metadata.labels.a}")
    assert seen == "2 b"
    old.out("autoscale", "deployment", "web", "--min=1", "--max=3")
    assert "Deployment/web" in old.out("get", "hpa")
    old.out("delete", "hpa,deployment,service", "web")


def test_objects_are_applied_compared_and_explained(old: Old) -> None:
    assert "created" in old.out("apply", "-f", "-", stdin=config_map("1"))
    assert '+  k: "2"' in old.fails("diff", "-f", "-", stdin=config_map("2")).stdout
    assert "configured" in old.out("apply", "-f", "-", stdin=config_map("2"))
    assert "replaced" in old.out("replace", "-f", "-", stdin=config_map("3"))
    assert "serverside-applied" in old.out(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=config_map("4")
    )
    assert "Pod is a collection of containers" in old.out("explain", "pod")
    assert "maxSurge" in old.out("explain", "deployment.spec.strategy", "--recursive")
    wrong = old.fails("apply", "-f", "-", stdin=config_map("1").replace('"data"', '"dota"'))
    assert 'unknown field "dota"' in wrong.stderr
    assert "no" in old.fails("auth", "can-i", "list", "pods", "--as=nobody").stdout
    assert "deployments" in old.out("api-resources")
    assert 'GitVersion:"v1.37' in old.out("version")


def test_streams_over_spdy(old: Old, tmp_path: Path, eventually: Eventually) -> None:
    old.out("run", "one", "--image=busybox", "--restart=Never", "--", "sleep", "600")
    old.out("run", "web", "--image=nginx", "--port=80")
    old.out("wait", "--for=condition=Ready", "pod/one", "pod/web", "--timeout=120s")
    failed = old.fails("exec", "-i", "one", "--", "sh", "-c", "cat; echo bad >&2; exit 3", stdin="given\n")
    assert (failed.stdout, failed.returncode) == ("given\n", 3)
    assert failed.stderr == "bad\ncommand terminated with exit code 3\n"
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    old.out("cp", str(tmp_path / "file"), "one:/tmp/file")
    old.out("cp", "one:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    eventually(lambda: "listens on 80/tcp" in old.out("logs", "web"))
    with terminal([*old.prefix, "exec", "-it", "one", "--", "sh"]) as person:
        person.type("until stty size | grep -q '40 100'; do sleep 0.1; done; echo answer=$((6*7))\n")
        person.expect("answer=42")
        person.type("exit 5\n")
        assert person.exit_status() == 5
    argv = [*old.prefix, "port-forward", "pod/web", ":80"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            port = int(forwarding.stdout.readline().split(":")[1].split()[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/x", timeout=60) as answer:
                assert "GET /x" in answer.read().decode()
        finally:
            forwarding.kill()
    assert 'pod "one" deleted' in old.out("delete", "pod", "one", "--now")


def test_nodes_are_drained(old: Old) -> None:
    assert "Allocated resources" in old.out("describe", "node", "node-3")
    old.out("create", "deployment", "web", "--image=nginx", "--replicas=3")
    old.out("rollout", "status", "deployment/web", "--timeout=120s")
    drain = ("drain", "node-3", "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--pod-selector=app=web")
    try:
        assert "node/node-3 evicted" in old.out(*drain, "--timeout=50s")
    finally:
        old.out("uncordon", "node-3")
    assert "node-3" not in old.out("get", "pods", "-l", "app=web", "-o", "wide")
    old.out("taint", "node", "node-3", "a=b:PreferNoSchedule")
    old.out("taint", "node", "node-3", "a-")
    assert "metrics not available yet" in old.fails("top", "pods").stderr
