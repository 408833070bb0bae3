"""What there is to know of a cluster now, as the document that `netsim status -o json` prints.

The keys are described in docs/cli.md and stay. What the cluster was given comes from cluster.json, what it is doing
from the API, the daemon from its pid file and /proc, and whether the namespaces are there from the kernel.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.pidfile import running_pid
from workbench.cli import kernelstate
from workbench.cli.apiclient import ApiReader, ApiUnreachable

Document = dict[str, Any]
HEALTHY, DEGRADED, STOPPED = "healthy", "degraded", "stopped"


def collect(directories: Directories) -> Document:
    """The whole document. A cluster whose daemon does not run has health "stopped" and nothing from the API.

    Health is that of daemon, API, nodes and the namespaces in the kernel; a pod that fails is its owner's matter and
    only has its `reason` told.
    """
    cluster = ResolvedCluster.load(directories.state)
    pid = running_pid(directories.pid_file)
    document: Document = {
        "name": cluster.name,
        "health": STOPPED,
        "problems": [],
        "daemon": None if pid is None else _daemon(pid),
        "api": cluster.api_url,
        "version": None,
        "kubeconfig": str(directories.admin_kubeconfig),
        "log": str(directories.log),
        "network": _network(cluster),
        "subnets": _subnets(cluster),
        "nodes": [],
        "pods": _pods([]),
        "services": [],
    }
    if pid is None:
        document["problems"] = ["the daemon does not run; pods that ran go on without it"]
        return document
    try:
        _ask_api(document, directories.admin_kubeconfig)
    except (ApiUnreachable, FileNotFoundError) as error:
        document["problems"].append(str(error))
    document["problems"] += kernelstate.problems(cluster, directories)
    document["health"] = DEGRADED if document["problems"] else HEALTHY
    return document


def _ask_api(document: Document, kubeconfig: Path) -> None:
    api = ApiReader(kubeconfig)
    try:
        unready = api.check("/readyz")
        pods = api.items("/api/v1/pods")
        counts = Counter(pod["spec"].get("nodeName", "") for pod in pods)
        document["version"] = api.get("/version")["gitVersion"]
        document["nodes"] = [_node(node, counts) for node in api.items("/api/v1/nodes")]
        document["pods"] = _pods(pods)
        document["services"] = [_service(service) for service in api.items("/api/v1/services")]
    finally:
        api.close()
    document["problems"] += [unready] if unready else []
    document["problems"] += [f"node {node['name']} is not Ready" for node in document["nodes"] if not node["ready"]]


def _daemon(pid: int) -> Document:
    return {"pid": pid, "memoryBytes": _resident_bytes(pid), "uptimeSeconds": _uptime_seconds(pid)}


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _uptime_seconds(pid: int) -> float:
    """Seconds since the process started, from field 22 of its stat; the name in field 2 may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    up = float(Path("/proc/uptime").read_text().split()[0])
    return round(up - int(fields[19]) / os.sysconf("SC_CLK_TCK"), 1)


def _network(cluster: ResolvedCluster) -> Document:
    return {
        "mode": cluster.mode,
        "podNetwork": cluster.pod_network,
        "podMtu": cluster.pod_mtu,
        "mtu": cluster.mtu,
        "offloads": cluster.offloads,
        "egress": cluster.egress,
        "firewallRules": len(cluster.firewall),
        "routes": len(cluster.routes),
        "paths": len(cluster.paths),
        "serviceRange": str(cluster.service_range),
        "loadBalancerRange": str(cluster.load_balancer_range),
        "apiAddress": str(cluster.api_vpc_address),
    }


def _subnets(cluster: ResolvedCluster) -> list[Document]:
    return [
        {
            "name": subnet.name,
            "region": subnet.region,
            "range": str(subnet.range),
            "gateway": str(subnet.gateway),
            "podRange": str(subnet.pod_range) if subnet.pod_range is not None else None,
            "egress": subnet.egress,
            "nodes": sum(node.subnet == subnet.name for node in cluster.nodes),
        }
        for subnet in cluster.subnets
    ]


def _node(node: Document, pods: Mapping[str, int]) -> Document:
    metadata, spec, status = node["metadata"], node.get("spec", {}), node.get("status", {})
    addresses = {each["type"]: each["address"] for each in status.get("addresses", [])}
    return {
        "name": metadata["name"],
        "ready": _condition(status, "Ready"),
        "schedulable": not spec.get("unschedulable", False),
        "address": addresses.get("InternalIP"),
        "podRange": spec.get("podCIDR"),
        "zone": metadata.get("labels", {}).get("topology.kubernetes.io/zone"),
        "pods": pods.get(metadata["name"], 0),
    }


def _pods(pods: Iterable[Document]) -> Document:
    items = [_pod(pod) for pod in pods]
    return {
        "total": len(items),
        "ready": sum(item["ready"] for item in items),
        "phases": dict(Counter(item["phase"] for item in items)),
        "items": items,
    }


def _pod(pod: Document) -> Document:
    metadata, status = pod["metadata"], pod.get("status", {})
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "node": pod["spec"].get("nodeName"),
        "ip": status.get("podIP"),
        "phase": status.get("phase", "Pending"),
        "ready": _condition(status, "Ready"),
        "reason": _waiting_reason(status),
    }


def _service(service: Document) -> Document:
    metadata, spec = service["metadata"], service["spec"]
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "type": spec.get("type", "ClusterIP"),
        "clusterIP": spec.get("clusterIP"),
        "externalIPs": [*spec.get("externalIPs", []), *(each["ip"] for each in ingress if "ip" in each)],
        "ports": [
            {"port": port["port"], "protocol": port.get("protocol", "TCP"), "nodePort": port.get("nodePort")}
            for port in spec.get("ports", [])
        ],
    }


def _condition(status: Document, kind: str) -> bool:
    return any(each["type"] == kind and each["status"] == "True" for each in status.get("conditions", []))


def _waiting_reason(status: Document) -> str | None:
    """Why the pod has no node, or a container of it waits, if it waits for something that went wrong."""
    usual = {"ContainerCreating", "PodInitializing"}
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        reason = container.get("state", {}).get("waiting", {}).get("reason")
        if reason and reason not in usual:
            return str(reason)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("reason", ""))
    return status.get("reason")
