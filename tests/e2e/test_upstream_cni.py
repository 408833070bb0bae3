"""A cluster whose pods are attached by upstream's CNI plugins: cluster.yaml's list alone says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netsim import namespace, offload
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name, run

UPSTREAM = Path("/usr/lib/cni")
BRIDGE = "bridge\n        bridge: cbr0\n        isGateway: true\n        hairpinMode: true"

CONFIG = """
apiVersion: netsim.io/v1alpha1
kind: Cluster
spec:
  nodes: 2
  network:
    offloads: off
    cni:
      cniVersion: 1.0.0
      plugins:
      - type: MAIN
        netsim.execute: true
        mtu: ${mtu}
        ipam: {type: host-local, dataDir: "${dataDir}", ranges: [[{subnet: "${podRange}"}]], routes: [{dst: 0.0.0.0/0}]}
      - {type: portmap, netsim.execute: true, capabilities: {portMappings: true}}
"""

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: node-1
  containers: [{name: main, image: busybox, command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node-2
  containers: [{name: main, image: nginx, ports: [{containerPort: 80, hostPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""

DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
"""


@pytest.mark.skipif(not (UPSTREAM / "bridge").exists(), reason=f"upstream's plugins are not in {UPSTREAM}")
@pytest.mark.parametrize("main", [BRIDGE, "ptp"], ids=["bridge", "ptp"])
def test_pods_on_upstreams_plugins(tmp_path: Path, eventually: Eventually, main: str) -> None:
    cluster = Cluster(cluster_name("cni"))
    (tmp_path / "cluster.yaml").write_text(CONFIG.replace("MAIN", main))
    cluster.netsim("up", "--config", str(tmp_path / "cluster.yaml"))
    try:
        cluster.out("apply", "-f", "-", stdin=PODS)
        cluster.out("wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
        asked = ("exec", "client", "--", "curl", "-sS", "--max-time", "5")
        eventually(lambda: "web" in cluster.kubectl(*asked, "http://web/", check=False).stdout)
        node = cluster.json("get", "node", "node-2")["status"]["addresses"][0]["address"]
        eventually(lambda: "web" in cluster.kubectl(*asked, f"http://{node}:8080/", check=False).stdout)
        # The name of the pair's outer end tells whose work it is: upstream's are veth and eight digits.
        links = run("ip", "-n", f"{cluster.name}-node-2", "-o", "link").stdout
        names = [line.split(":")[1].split("@")[0].strip() for line in links.splitlines()]
        (outer,) = [name for name in names if len(name) == 12]
        with namespace.entered(namespace.namespace_path(f"{cluster.name}-node-2")):
            assert not offload.are_on(outer)
        listed = Path(f"/run/netsim/{cluster.name}/nodes/node-2/cni/10-netsim.conflist").read_text()
        assert json.loads(listed)["plugins"][0]["mtu"] == 1460
        cluster.out("apply", "-f", "-", stdin=DENY)
        eventually(lambda: cluster.kubectl(*asked, "http://web/", check=False).returncode != 0)
        cluster.out("delete", "pod", "web", "--now")
        assert "8080" not in run("ip", "netns", "exec", f"{cluster.name}-node-2", "iptables-save", "-t", "nat").stdout
    finally:
        cluster.netsim("down")
