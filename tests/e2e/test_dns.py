"""Names as pods see them: through the Service's address, their own resolv.conf and their own resolver."""

from __future__ import annotations

import ipaddress
import json
import socket
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from netsim.namespace import entered
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster

CLIENT = "client"


def namespace_of(cluster: Cluster, namespace: str, pod: str) -> Path:
    """The pod's network namespace."""
    (path,) = Path("/run/netns").glob(f"{cluster.name}-{namespace}-{pod}-*")
    return path


def ask(netns: Path, name: str, qtype: str = "A", *, server: str, tcp: bool = False) -> dns.message.Message:
    """What the server says to somebody inside a namespace."""
    query = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
    with entered(netns):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    with sock:
        if not tcp:
            # One that blocks would be waited for without the time-out.
            sock.setblocking(False)
            try:
                return dns.query.udp(query, server, timeout=5, sock=sock)
            except dns.exception.Timeout as error:
                raise AssertionError(f"{server} does not answer") from error
        sock.settimeout(5)
        sock.connect((server, 53))
        return dns.query.tcp(query, server, timeout=5, sock=sock)


def texts(message: dns.message.Message) -> list[str]:
    """The answers' data, sorted."""
    return sorted(item.to_text() for rrset in message.answer for item in rrset)


class Asker:
    """A pod in a namespace of its own, and what its questions are answered."""

    def __init__(self, cluster: Cluster, namespace: str, server: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.server = server
        self.netns = namespace_of(cluster, namespace, CLIENT)

    def ask(self, name: str, qtype: str = "A", *, tcp: bool = False) -> dns.message.Message:
        return ask(self.netns, name, qtype, server=self.server, tcp=tcp)

    def run(self, *argv: str) -> str:
        """A command in the pod, with the resolver of the C library."""
        return self.cluster.out("-n", self.namespace, "exec", CLIENT, "--", *argv)

    def apply(self, *objects: object) -> None:
        documents = "\n---\n".join(json.dumps(obj) for obj in objects)
        self.cluster.out("-n", self.namespace, "apply", "-f", "-", stdin=documents)


@pytest.fixture
def asker(cluster: Cluster, namespace: str) -> Asker:
    cluster.out("-n", namespace, "run", CLIENT, "--image=busybox")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", f"pod/{CLIENT}", "--timeout=60s")
    server = cluster.json("-n", "kube-system", "get", "service", "kube-dns")["spec"]["clusterIP"]
    return Asker(cluster, namespace, server)


@pytest.fixture
def web(cluster: Cluster, asker: Asker) -> str:
    """A Deployment of two behind a Service `web`; its cluster IP."""
    namespaced = ["-n", asker.namespace]
    cluster.out(*namespaced, "create", "deployment", "web", "--image=nginx", "--replicas=2")
    cluster.out(*namespaced, "expose", "deployment", "web", "--port=80")
    cluster.out(*namespaced, "rollout", "status", "deployment/web", "--timeout=120s")
    address: str = cluster.json(*namespaced, "get", "service", "web")["spec"]["clusterIP"]
    return address


def test_a_pod_finds_a_service_by_its_names(asker: Asker, web: str, cluster: Cluster) -> None:
    here = asker.namespace
    assert asker.run("cat", "/etc/resolv.conf").splitlines() == [
        f"search {here}.svc.cluster.local svc.cluster.local cluster.local",
        f"nameserver {asker.server}",
        "options ndots:5",
    ]
    full = f"web.{here}.svc.cluster.local"
    for name in ("web", f"web.{here}", f"web.{here}.svc", full, f"{full}."):
        assert asker.run("getent", "hosts", name).split()[:2] == [web, full], name
        # As the documentation of Kubernetes has people ask; a host's own nslookup may be bind's.
        assert web in asker.run("nslookup", name).split(), name
    assert cluster.kubectl("-n", here, "exec", CLIENT, "--", "nslookup", "wob", check=False).returncode == 1
    assert "image: nginx" in asker.run("curl", "-sS", "--max-time", "20", "http://web/")
    assert cluster.kubectl("-n", here, "exec", CLIENT, "--", "getent", "hosts", "wob", check=False).returncode == 2


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_service_has_records(asker: Asker, web: str, *, tcp: bool) -> None:
    full = f"web.{asker.namespace}.svc.cluster.local"
    assert texts(asker.ask(full, tcp=tcp)) == [web]
    assert texts(asker.ask(full, "SRV", tcp=tcp)) == [f"0 100 80 {full}."]
    assert texts(asker.ask(ipaddress.ip_address(web).reverse_pointer, "PTR", tcp=tcp)) == [f"{full}."]
    missing = asker.ask(f"no{full}", tcp=tcp)
    assert (missing.rcode(), len(missing.authority)) == (dns.rcode.NXDOMAIN, 1)


def test_the_dns_is_at_the_tenth_address_and_comes_back(asker: Asker, cluster: Cluster, eventually: Eventually) -> None:
    first = cluster.json("get", "service", "kubernetes")["spec"]["clusterIP"]
    assert ipaddress.ip_address(asker.server) == ipaddress.ip_address(first) + 9
    cluster.out("-n", "kube-system", "delete", "service,endpointslice", "kube-dns")
    eventually(
        lambda: (
            cluster.json("-n", "kube-system", "get", "endpointslice,service", "kube-dns")["items"][1]["spec"][
                "clusterIP"
            ]
            == asker.server
        ),
        message="the Service again",
    )
    # The nodes' rules follow a moment later.
    eventually(lambda: texts(asker.ask("kubernetes.default.svc.cluster.local")) == [first])


def test_nodes_have_names(asker: Asker, cluster: Cluster) -> None:
    address = cluster.json("get", "node", "node-2")["status"]["addresses"][0]["address"]
    assert asker.run("getent", "hosts", "node-2").split()[0] == address
    assert texts(asker.ask(ipaddress.ip_address(address).reverse_pointer, "PTR"))[-1] == "node-2.cluster.local."


def test_a_headless_service_follows_its_pods(asker: Asker, cluster: Cluster, eventually: Eventually) -> None:
    here = asker.namespace
    cluster.out("-n", here, "create", "deployment", "db", "--image=nginx", "--replicas=3")
    cluster.out("-n", here, "expose", "deployment", "db", "--port=80", "--cluster-ip=None")
    cluster.out("-n", here, "rollout", "status", "deployment/db", "--timeout=120s")

    def pods() -> list[str]:
        found = cluster.json("-n", here, "get", "pods", "-l", "app=db")["items"]
        return sorted(pod["status"]["podIP"] for pod in found if "deletionTimestamp" not in pod["metadata"])

    name = f"db.{here}.svc.cluster.local"
    eventually(lambda: len(pods()) == 3 and texts(asker.ask(name)) == pods())
    one = pods()[0]
    dashed = f"{one.replace('.', '-')}.{name}"
    assert texts(asker.ask(dashed)) == [one]
    assert texts(asker.ask(ipaddress.ip_address(one).reverse_pointer, "PTR")) == [f"{dashed}."]
    cluster.out("-n", here, "scale", "deployment", "db", "--replicas=1")
    eventually(lambda: len(texts(asker.ask(name))) == 1 and texts(asker.ask(name)) == pods())
    cluster.out("-n", here, "scale", "deployment", "db", "--replicas=0")
    eventually(lambda: asker.ask(name).rcode() == dns.rcode.NXDOMAIN)


def test_a_pod_with_hostname_and_subdomain_has_a_name(asker: Asker, cluster: Cluster, eventually: Eventually) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "first", "labels": {"app": "group"}},
        "spec": {
            "hostname": "member",
            "subdomain": "group",
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "group"},
        "spec": {"clusterIP": "None", "selector": {"app": "group"}, "ports": [{"name": "http", "port": 80}]},
    }
    asker.apply(pod, service)
    cluster.out("-n", asker.namespace, "wait", "--for=condition=Ready", "pod/first", "--timeout=60s")
    address = cluster.json("-n", asker.namespace, "get", "pod", "first")["status"]["podIP"]
    name = f"member.group.{asker.namespace}.svc.cluster.local"
    eventually(lambda: texts(asker.ask(name)) == [address])
    assert texts(asker.ask(f"_http._tcp.group.{asker.namespace}.svc.cluster.local", "SRV")) == [f"0 100 80 {name}."]
    assert asker.run("getent", "hosts", "member.group").split() == [address, name]


def test_an_alias_of_a_service(asker: Asker, web: str) -> None:
    target = f"web.{asker.namespace}.svc.cluster.local"
    spec = {"type": "ExternalName", "externalName": target}
    asker.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "www"}, "spec": spec})
    assert asker.run("getent", "hosts", "www").split()[:2] == [web, target]


def test_a_pod_in_the_nodes_network_asks_where_its_policy_says(asker: Asker, web: str, cluster: Cluster) -> None:
    for port, name, policy in ((9001, "cluster-first", "ClusterFirstWithHostNet"), (9002, "default", "Default")):
        container = {"name": "c", "image": "busybox", "ports": [{"containerPort": port}]}
        spec = {"hostNetwork": True, "dnsPolicy": policy, "containers": [container]}
        asker.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    here = ["-n", asker.namespace]
    cluster.out(*here, "wait", "--for=condition=Ready", "pod/cluster-first", "pod/default", "--timeout=60s")
    assert cluster.out(*here, "exec", "cluster-first", "--", "getent", "hosts", "web").split()[0] == web
    assert asker.server not in cluster.out(*here, "exec", "default", "--", "cat", "/etc/resolv.conf")
