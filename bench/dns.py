"""The cluster's DNS from one pod: answers a second, and how soon an endpoint's change is answered.

The reference is dnsmasq with the same name, in the same place, behind a Service of its own. It is not among the
packages that the project needs; without it (Debian: dnsmasq-base) the figures stand alone.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import commands, harness
from bench.harness import Session
from bench.kube import Kube, is_ready
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.dns import message
from controlplane.dns.records import Type
from netsim import namespace, programs

NAME = "bench-dns"
PORT = 53
LOAD_SECONDS = 2.0
CHANGES = 50
DNSMASQ = "dnsmasq"

CORE = "/api/v1/namespaces/default"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
WEB = "web.default.svc.cluster.local"
DB = "db.default.svc.cluster.local"


def run(session: Session) -> None:
    """Both figures."""
    commands.netsim(NAME, "down")
    try:
        commands.netsim(NAME, "up")
        kube = Kube(Directories(NAME).admin_kubeconfig)
        pods = f"{CORE}/pods"
        kube.until(pods, lambda found: any(map(is_ready, found.values())), lambda: kube.post(pods, _pod()))
        with tempfile.TemporaryDirectory(prefix="bench-dns-") as scratch:
            _rates(session, kube, Path(scratch))
        changes = [seconds * 1000 for seconds in _changes(kube)]
        session.report("an endpoint changes, until DNS says so, p50", changes, None, "ms")
        session.report("the same, worst", max(changes), None, "ms", "<= 50")
    finally:
        commands.netsim(NAME, "down")


def _rates(session: Session, kube: Kube, scratch: Path) -> None:
    server = kube.get("/api/v1/namespaces/kube-system/services/kube-dns")["spec"]["clusterIP"]
    web = _service(kube, "web", {"ports": [{"port": 80}]})
    load = programs.ensure_built(Path(__file__).with_name("dnsload.c"), scratch)
    with _dnsmasq(kube, web) as reference:
        if not reference:
            session.note("no dnsmasq here, so nothing runs beside it; Debian has it as dnsmasq-base")
        for window in (16, 1):
            ours = [_load(load, server, window) for _ in range(session.runs)]
            theirs = [_load(load, reference, window) for _ in range(session.runs)] if reference else None
            title = f"DNS answers from one pod, {window} under way"
            session.report(title, ours, theirs, "/s", ">= 0.25x", reference_is=DNSMASQ)


def _changes(kube: Kube) -> Iterator[float]:
    """Seconds from the API's answer to a changed slice until a pod's question is answered with the new address."""
    _service(kube, "db", {"clusterIP": "None", "ports": [{"port": 80}]})
    kube.post(SLICES, _slice("db", "10.44.250.1"))
    server = kube.get("/api/v1/namespaces/kube-system/services/kube-dns")["spec"]["clusterIP"]
    question = message.ask(DB, Type.A)
    with namespace.entered(_pod_namespace()):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(1)
        sock.connect((server, PORT))
        for number in range(CHANGES):
            wanted = f"10.44.251.{number + 1}"
            kube.patch(f"{SLICES}/db-1", {"endpoints": [{"addresses": [wanted]}]})
            began = time.monotonic()
            while True:
                sock.send(question)
                if socket.inet_aton(wanted) in sock.recv(512):
                    break
            yield time.monotonic() - began


@contextmanager
def _dnsmasq(kube: Kube, address: str) -> Iterator[str]:
    """Runs dnsmasq in the router, on another of its addresses; the cluster IP of its Service, "" without dnsmasq."""
    program = shutil.which(DNSMASQ)
    if program is None:
        yield ""
        return
    gateway = str(ResolvedCluster.load(Directories(NAME).state).subnets[0].gateway)
    options = ["--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", "--bind-interfaces"]
    options += [f"--listen-address={gateway}", f"--address=/{WEB}/{address}"]
    argv = ["ip", "netns", "exec", f"{NAME}-router", program, "--no-daemon", *options]
    port = {"port": 53, "protocol": "UDP"}
    cluster_ip = _service(kube, DNSMASQ, {"ports": [port]})
    kube.post(SLICES, {**_slice(DNSMASQ, gateway), "ports": [port]})
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            time.sleep(1)  # so that it answers, and the rules lead to it
            yield cluster_ip
        finally:
            running.terminate()


def _load(program: Path, server: str, window: int) -> float:
    argv = ["ip", "netns", "exec", _pod_namespace().name, str(program), server, WEB, str(window), str(LOAD_SECONDS)]
    return float(commands.output(*argv))


def _pod_namespace() -> Path:
    (path,) = Path("/run/netns").glob(f"{NAME}-default-client-*")
    return path


def _service(kube: Kube, name: str, spec: dict[str, Any]) -> str:
    metadata = {"name": name}
    made = kube.post(f"{CORE}/services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    address: str = made["spec"]["clusterIP"]
    return address


def _slice(service: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"port": 80}],
    }


def _pod() -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "busybox"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}


if __name__ == "__main__":
    harness.main(run)
