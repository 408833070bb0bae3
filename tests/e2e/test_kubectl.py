"""Each kubectl command of the first weeks, against a live cluster."""

from __future__ import annotations

import json
import re
import subprocess
import threading

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
%s
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80}]
"""


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """A Deployment `web` with two ready pods; the name of its namespace."""
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.out("-n", namespace, "wait", "--for=condition=Available", "deployment/web", "--timeout=120s")
    return namespace


@pytest.fixture
def shell(cluster: Cluster, namespace: str) -> str:
    """A pod `shell` that sleeps; the name of its namespace."""
    cluster.out("-n", namespace, "run", "shell", "--image=busybox", "--", "sleep", "3600")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/shell", "--timeout=120s")
    return namespace


def test_explain(cluster: Cluster) -> None:
    pods = cluster.out("explain", "pods")
    assert re.search(r"KIND:\s+Pod\nVERSION:\s+v1\n", pods)
    assert "Pod is a collection of containers" in pods
    strategy = cluster.out("explain", "deployment.spec.strategy")
    assert re.search(r"GROUP:\s+apps\nKIND:\s+Deployment\nVERSION:\s+v1\n", strategy)
    assert "rollingUpdate" in strategy
    assert "maxSurge" in cluster.out("explain", "deployment", "--recursive")


def test_api_resources(cluster: Cluster) -> None:
    rows = cluster.out("api-resources").splitlines()
    assert rows[0].split() == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [row.split() for row in rows]
    assert ["nodes", "no", "v1", "false", "Node"] in [row.split() for row in rows]
    assert "apps/v1" in cluster.out("api-versions").split()


def test_cluster_info_version_and_config(cluster: Cluster) -> None:
    assert "Kubernetes control plane" in cluster.out("cluster-info")
    assert cluster.json("version")["serverVersion"]["minor"] == "37"
    assert cluster.json("config", "view")["clusters"][0]["name"]


def test_nodes(cluster: Cluster) -> None:
    header, *rows = cluster.out("get", "nodes", "-o", "wide").splitlines()
    assert re.split(r"\s{2,}", header.strip())[:6] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"]
    assert [row.split()[:2] for row in rows] == [[f"node-{number}", "Ready"] for number in (1, 2, 3)]
    described = cluster.out("describe", "node", "node-1")
    for part in ("PodCIDR:", "Conditions:", "KubeletReady", "Allocatable:", "Non-terminated Pods:", "Lease:"):
        assert part in described


def test_get_all_shows_the_deployments_family(cluster: Cluster, web: str) -> None:
    shown = cluster.out("-n", web, "get", "all")
    for kind in ("pod/web-", "deployment.apps/web", "replicaset.apps/web-"):
        assert kind in shown


def test_logs_and_follow(cluster: Cluster, namespace: str, eventually: Eventually) -> None:
    loop = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done"
    cluster.out("-n", namespace, "run", "talker", "--image=busybox", "--", "sh", "-c", loop)
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/talker", "--timeout=120s")
    eventually(lambda: "line 3\n" in cluster.out("-n", namespace, "logs", "talker"))
    assert len(cluster.out("-n", namespace, "logs", "talker", "--tail=2").splitlines()) == 2
    stamped = cluster.out("-n", namespace, "logs", "talker", "--timestamps", "--tail=1")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S* line \d+", stamped)
    argv = cluster.argv("-n", namespace, "logs", "-f", "talker")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = [following.stdout.readline() for _ in range(10)]
        following.terminate()
    assert lines == [f"line {number}\n" for number in range(10)]


def test_exec(cluster: Cluster, shell: str) -> None:
    address = cluster.json("-n", shell, "get", "pod", "shell")["status"]["podIP"]
    assert address in cluster.out("-n", shell, "exec", "shell", "--", "ip", "addr")
    assert cluster.out("-n", shell, "exec", "-i", "shell", "--", "cat", stdin="through\n") == "through\n"
    failed = cluster.kubectl("-n", shell, "exec", "shell", "--", "sh", "-c", "echo bad >&2; exit 7", check=False)
    assert failed.returncode == 7
    assert "bad" in failed.stderr


def test_exec_with_a_terminal(cluster: Cluster, shell: str) -> None:
    script = ["script", "-qefc", " ".join(cluster.argv("-n", shell, "exec", "-it", "shell", "--", "sh")), "/dev/null"]
    typed = "tty; stty size; echo answer=$((6*7)); exit 3\n"
    done = subprocess.run(script, input=typed, capture_output=True, text=True, timeout=30)
    assert "/dev/pts/" in done.stdout
    assert "answer=42" in done.stdout
    assert done.returncode == 3


def test_apply_creates_changes_and_prunes(cluster: Cluster, namespace: str) -> None:
    def apply(data: str) -> str:
        return cluster.out("-n", namespace, "apply", "-f", "-", stdin=CONFIG_MAP % data).strip()

    assert apply("  one: '1'\n  two: '2'") == "configmap/settings created"
    assert apply("  one: '1'\n  two: '2'") == "configmap/settings unchanged"
    assert apply("  one: '9'") == "configmap/settings configured"
    assert cluster.json("-n", namespace, "get", "configmap", "settings")["data"] == {"one": "9"}


def test_diff_shows_what_apply_would_change_and_changes_nothing(cluster: Cluster, web: str) -> None:
    changed = DEPLOYMENT.replace("nginx:1.27", "nginx:1.28")
    diff = cluster.kubectl("-n", web, "diff", "-f", "-", stdin=changed, check=False)
    assert diff.returncode == 1
    assert re.search(r"^-\s+- image: nginx:1.27$", diff.stdout, re.MULTILINE)
    assert re.search(r"^\+\s+- image: nginx:1.28$", diff.stdout, re.MULTILINE)
    assert cluster.kubectl("-n", web, "diff", "-f", "-", stdin=DEPLOYMENT, check=False).returncode == 0


def test_edit(cluster: Cluster, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_EDITOR", "sed -i 's/replicas: 2/replicas: 1/'")
    assert cluster.out("-n", web, "edit", "deployment", "web") == "deployment.apps/web edited\n"
    assert cluster.json("-n", web, "get", "deployment", "web")["spec"]["replicas"] == 1


def test_label_and_annotate(cluster: Cluster, shell: str) -> None:
    cluster.out("-n", shell, "label", "pod", "shell", "tier=front")
    assert cluster.out("-n", shell, "get", "pods", "-l", "tier=front", "-o", "name") == "pod/shell\n"
    assert cluster.out("-n", shell, "get", "pods", "-l", "tier in (back)", "-o", "name") == ""
    cluster.out("-n", shell, "label", "pod", "shell", "tier-")
    cluster.out("-n", shell, "annotate", "pod", "shell", "note=a word")
    metadata = cluster.json("-n", shell, "get", "pod", "shell")["metadata"]
    assert metadata["annotations"]["note"] == "a word"
    assert "tier" not in metadata["labels"]


@pytest.mark.parametrize(
    ("patch_type", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:9"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:9"}]),
        ("merge", {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:9"}]}}}}),
    ],
)
def test_patch(cluster: Cluster, web: str, patch_type: str, patch: object) -> None:
    cluster.out("-n", web, "patch", "deployment", "web", "--type", patch_type, "-p", json.dumps(patch))
    (container,) = cluster.json("-n", web, "get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:9"
    assert ("ports" in container) == (patch_type != "merge")


def test_create_replace_and_delete_by_file(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "create", "-f", "-", stdin=CONFIG_MAP % "  one: '1'")
    again = cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=CONFIG_MAP % "  one: '1'", check=False)
    assert 'configmaps "settings" already exists' in again.stderr
    cluster.out("-n", namespace, "replace", "-f", "-", stdin=CONFIG_MAP % "  two: '2'")
    assert cluster.json("-n", namespace, "get", "configmap", "settings")["data"] == {"two": "2"}
    cluster.out("-n", namespace, "delete", "-f", "-", stdin=CONFIG_MAP % "  two: '2'")
    gone = cluster.kubectl("-n", namespace, "get", "configmap", "settings", check=False)
    assert 'Error from server (NotFound): configmaps "settings" not found' in gone.stderr


def test_output_forms_and_selectors(cluster: Cluster, web: str) -> None:
    pods = cluster.json("-n", web, "get", "pods")["items"]
    names = sorted(pod["metadata"]["name"] for pod in pods)
    assert sorted(cluster.out("-n", web, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split()) == names
    columns = cluster.out("-n", web, "get", "pods", "-o", "custom-columns=POD:.metadata.name,NODE:.spec.nodeName")
    assert columns.splitlines()[0].split() == ["POD", "NODE"]
    assert "kind: Pod" in cluster.out("-n", web, "get", "pod", names[0], "-o", "yaml")
    only = cluster.out("-n", web, "get", "pods", "--field-selector", f"metadata.name={names[0]}", "-o", "name")
    assert only == f"pod/{names[0]}\n"
    on_node = pods[0]["spec"]["nodeName"]
    there = cluster.out("get", "pods", "-A", "--field-selector", f"spec.nodeName={on_node}", "-o", "name").split()
    assert f"pod/{pods[0]['metadata']['name']}" in there
    everywhere = cluster.out("get", "pods", "-A").splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.startswith(web) for line in everywhere)


def test_watch_shows_changes_as_they_come(cluster: Cluster, namespace: str) -> None:
    argv = cluster.argv("-n", namespace, "get", "configmaps", "-w", "-o", "name")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        stop = threading.Timer(20, watching.kill)
        stop.start()
        cluster.out("-n", namespace, "create", "configmap", "fresh")
        seen = ""
        while "configmap/fresh" not in seen:
            line = watching.stdout.readline()
            assert line, "the watch ended"
            seen += line
        stop.cancel()
        watching.terminate()


def test_wait_for_deletion_and_for_a_json_path(cluster: Cluster, shell: str) -> None:
    cluster.out("-n", shell, "wait", "--for=jsonpath={.status.phase}=Running", "pod/shell", "--timeout=60s")
    cluster.out("-n", shell, "delete", "pod", "shell", "--wait=false", "--grace-period=1")
    cluster.out("-n", shell, "wait", "--for=delete", "pod/shell", "--timeout=60s")


def test_invalid_manifests_are_refused_in_upstreams_words(cluster: Cluster, namespace: str) -> None:
    wrong = DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: other}")
    refused = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=wrong, check=False)
    assert 'The Deployment "web" is invalid: spec.template.metadata.labels: Invalid value: ' in refused.stderr
    assert "`selector` does not match template `labels`" in refused.stderr
    unknown = DEPLOYMENT.replace("replicas: 2", "replicaz: 2")
    refused = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=unknown, check=False)
    assert 'unknown field "spec.replicaz"' in refused.stderr
    refused = cluster.kubectl("-n", "absent", "apply", "-f", "-", stdin=DEPLOYMENT, check=False)
    assert 'namespaces "absent" not found' in refused.stderr
    refused = cluster.kubectl("get", "gadgets", check=False)
    assert 'the server doesn\'t have a resource type "gadgets"' in refused.stderr
    assert cluster.out("-n", namespace, "get", "all") == ""
