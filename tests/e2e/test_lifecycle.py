"""Clusters come, survive and go: nothing is lost, nothing is left, the host is as it was."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsim import inventory
from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, cluster_name, run

HOST_SYSCTLS = Path("/proc/sys/net")


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A name for a cluster of the test's own, which is removed afterwards, whatever happened."""
    cluster = Cluster(cluster_name("life"))
    try:
        yield cluster
    finally:
        cluster.netsim("down")


def host_state() -> dict[str, object]:
    """What a cluster must leave as it was: links, addresses, routes, rules, sysctls, mounts, cgroups."""
    return {
        "links": run("ip", "-o", "link").stdout,
        "addresses": re.sub(r"(valid|preferred)_lft \S+", "", run("ip", "-o", "address").stdout),
        "routes": run("ip", "route", "show", "table", "all").stdout,
        "rules": run("ip", "rule").stdout,
        "namespaces": run("ip", "netns", "list").stdout,
        "nftables": run("nft", "list", "ruleset").stdout,
        "iptables": re.sub(r"^#.*$|\[\d+:\d+\]", "", run("iptables-legacy-save").stdout, flags=re.MULTILINE),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()),
        "sysctls": {str(path): readable(path) for path in HOST_SYSCTLS.rglob("*") if is_setting(path)},
    }


def is_setting(path: Path) -> bool:
    volatile = {"nf_conntrack_count", "route_cache"}
    return path.is_file() and path.name not in volatile


def readable(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        return f"unreadable: {error.errno}"


def pods_of(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Address and restarts of each pod."""
    return {
        pod["metadata"]["name"]: (pod["status"]["podIP"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in cluster.json("get", "pods")["items"]
    }


def start_pods(cluster: Cluster, replicas: int) -> None:
    cluster.out("create", "deployment", "web", "--image=nginx", f"--replicas={replicas}", "--port=80")
    cluster.out("rollout", "status", "deployment/web", "--timeout=120s")


def test_the_host_is_as_it_was(own: Cluster) -> None:
    before = host_state()
    own.netsim("up")
    start_pods(own, 3)
    own.out("expose", "deployment", "web", "--type=LoadBalancer", "--port=80")
    assert host_state() != before
    own.netsim("down")
    after = host_state()
    for part, value in before.items():
        assert after[part] == value, part
    assert not Path(f"/var/lib/netsim/clusters/{own.name}").exists()
    assert not Path(f"/run/netsim/{own.name}").exists()


def test_a_second_up_changes_nothing_and_a_second_down_is_fine(own: Cluster) -> None:
    own.netsim("up", "--nodes", "1")
    daemon = own.status()["daemon"]["pid"]
    again = own.netsim("up", "--nodes", "1")
    assert "already" in again.stdout + again.stderr
    other = own.netsim("up", "--nodes", "2", check=False)
    assert other.returncode == 1
    assert "nothing was changed" in other.stderr
    assert own.status()["daemon"]["pid"] == daemon
    own.netsim("down")
    own.netsim("down")


def test_pods_outlive_a_killed_daemon_and_up_adopts_them(own: Cluster, eventually: Eventually) -> None:
    own.netsim("up")
    start_pods(own, 3)
    before = pods_of(own)
    objects = own.out("get", "deployment,rs,pods", "-o", "name")
    os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
    for address, _ in before.values():
        assert run("curl", "-sS", "--fail", "--max-time", "20", f"http://{address}/").stdout
    own.netsim("up")
    assert pods_of(own) == before
    assert own.out("get", "deployment,rs,pods", "-o", "name") == objects
    first = sorted(before)[0]
    assert own.out("exec", first, "--", "echo", "alive") == "alive\n"
    own.out("delete", "pod", first)
    eventually(lambda: len(pods_of(own)) == 3 and first not in pods_of(own))


CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 8Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, "date +%N >> /data/starts; sync; exec sleep 1000000"]
    volumeMounts: [{name: data, mountPath: /data}]
"""


def addresses(cluster: Cluster) -> dict[str, object]:
    """What has to be the same after the host was started again."""
    nodes, services = (cluster.json("get", kind)["items"] for kind in ("nodes", "services"))
    return {
        **{node["metadata"]["uid"]: (node["status"]["addresses"], node["spec"]["podCIDR"]) for node in nodes},
        **{each["metadata"]["uid"]: (each["spec"]["clusterIPs"], each["status"]) for each in services},
    }


def reboot(cluster: Cluster, aside: Path) -> None:
    """What a start of the host leaves of a cluster: the files of /var, and nothing of the kernel or of /run."""
    os.kill(cluster.status()["daemon"]["pid"], signal.SIGKILL)
    state = Path(f"/var/lib/netsim/clusters/{cluster.name}")
    run("cp", "-a", str(state), str(aside))
    assert inventory.remove(cluster.name)
    # It goes with the last cluster of the host.
    state.parent.mkdir(parents=True, exist_ok=True)
    run("cp", "-a", str(aside / cluster.name), str(state))
    assert not Path(f"/run/netsim/{cluster.name}").exists()


def test_after_a_reboot_the_same_cluster_comes_back(own: Cluster, tmp_path: Path, eventually: Eventually) -> None:
    own.netsim("up")
    start_pods(own, 3)
    own.out("expose", "deployment", "web", "--type=LoadBalancer", "--port=80")
    own.out("apply", "-f", "-", stdin=CLAIM)
    own.out("wait", "--for=condition=Ready", "pod/keeper", "--timeout=120s")
    path = ("get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    balancer = eventually(lambda: own.out(*path))
    before, pods = addresses(own), {name: restarts for name, (_, restarts) in pods_of(own).items()}
    reboot(own, tmp_path)
    own.netsim("up")
    eventually(lambda: {name: restarts - 1 for name, (_, restarts) in pods_of(own).items()} == pods)
    own.out("wait", "--for=condition=Ready", "pods", "--all", "--timeout=120s")
    assert addresses(own) == before
    eventually(lambda: run("curl", "-sS", "--fail", "--max-time", "20", f"http://{balancer}/", check=False).stdout)
    assert len(own.out("exec", "keeper", "--", "cat", "/data/starts").split()) == 2
    assert own.out("get", "events", "--field-selector=reason=Rebooted", "-o", "name").count("event/") == 3


def test_down_removes_everything_after_the_daemon_was_killed(own: Cluster) -> None:
    before = host_state()
    own.netsim("up")
    start_pods(own, 3)
    os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
    own.netsim("down")
    after = host_state()
    for part, value in before.items():
        assert after[part] == value, part


def test_clusters_live_side_by_side(cluster: Cluster, own: Cluster) -> None:
    own.netsim("up", "--nodes", "2")
    start_pods(own, 2)
    assert own.status()["api"] != cluster.status()["api"]
    assert len(own.json("get", "nodes")["items"]) == 2
    assert len(cluster.json("get", "nodes")["items"]) == 3
    for address, _ in pods_of(own).values():
        assert run("curl", "-sS", "--fail", "--max-time", "20", f"http://{address}/").stdout


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text("apiVersion: netsim.io/v1alpha1\nkind: Cluster\n" + text)
    return str(path)


def test_a_range_that_overlaps_a_host_route_is_refused(own: Cluster, tmp_path: Path) -> None:
    run("ip", "route", "add", "unreachable", "10.99.0.0/16")
    try:
        path = config(tmp_path, "spec:\n  network:\n    subnets: [{name: default, range: 10.99.16.0/20}]\n")
        refused = own.netsim("up", "--config", path, check=False)
    finally:
        run("ip", "route", "del", "unreachable", "10.99.0.0/16")
    assert refused.returncode != 0
    assert "10.99.16.0/20" in refused.stderr
    assert "10.99.0.0/16" in refused.stderr


def test_a_bad_config_names_file_line_and_field(own: Cluster, tmp_path: Path) -> None:
    refused = own.netsim("up", "--config", config(tmp_path, "spec:\n  nodez: 3\n"), check=False)
    assert refused.returncode != 0
    assert re.search(r"cluster\.yaml:4", refused.stderr)
    assert "nodez" in refused.stderr
    assert "nodes" in refused.stderr


def test_a_port_in_use_is_refused(own: Cluster, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = config(tmp_path, f"spec:\n  apiServer: {{port: {port}}}\n")
        refused = own.netsim("up", "--config", path, check=False)
    assert refused.returncode != 0
    assert str(port) in refused.stderr


def test_not_root_is_said_so() -> None:
    refused = run("setpriv", "--reuid=65534", "--clear-groups", str(BIN / "netsim"), "up", check=False)
    assert refused.returncode != 0
    assert "sudo" in refused.stderr


def test_another_user_reads_nothing_of_a_cluster(cluster: Cluster) -> None:
    for path in (f"/var/lib/netsim/clusters/{cluster.name}/state.db", f"/run/netsim/{cluster.name}/daemon.pid"):
        assert Path(path).exists()
        refused = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path, check=False)
        assert "Permission denied" in refused.stderr
