"""What tests ask of the world: packets, and the state of the host's own namespace."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netsim import namespace
from netsim.inventory import places
from netsim.namespace import namespace_path
from netsim.vpc import NodePlan, SubnetPlan, VpcPlan

_VOLATILE = re.compile(
    # Counters, random numbers, and what the kernel keeps per flow or refreshes by itself.
    r"^net\.(netfilter\.nf_conntrack_count|ipv4\.tcp_fastopen_key|ipv6\.conf\..*\.stable_secret|unix\.)"
)


def plan_of(cluster: str, number: int = 1) -> VpcPlan:
    """A VPC in ranges of its own for each number, away from those that a user would take."""
    first = 40 + 10 * number
    return VpcPlan(
        cluster,
        (SubnetPlan("default", f"100.{first}.0.0/20", f"100.{first}.0.1", f"100.{first + 1}.0.0/16"),),
        f"100.{first + 2}.0.0/20",
        f"100.{first + 3}.0.0/24",
        f"100.{first}.0.2",
    )


def node_of(plan: VpcPlan, number: int) -> NodePlan:
    """The n-th node of such a VPC."""
    subnet = plan.subnets[0]
    nodes, pods = subnet.range.rsplit(".", 2)[0], subnet.pod_range.rsplit(".", 2)[0]
    return NodePlan(f"node-{number}", subnet.name, f"{nodes}.0.{10 + number}", f"{pods}.{number}.0/24")


def run(*argv: str, netns: str = "") -> str:
    """What a program prints, run in a namespace or in the host's; it has to succeed."""
    done = attempt(*argv, netns=netns)
    assert done.returncode == 0, f"{argv} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def attempt(*argv: str, netns: str = "") -> subprocess.CompletedProcess[str]:
    """The same, but it may fail."""
    prefix = ["ip", "netns", "exec", netns] if netns else []
    return subprocess.run([*prefix, *argv], capture_output=True, text=True, timeout=30, check=False)


def ping(address: str, *, netns: str = "", source: str = "") -> bool:
    """Whether an echo comes back within 3 s."""
    argv = ["busybox", "ping", "-c", "1", "-W", "3", *(["-I", source] if source else []), address]
    return attempt(*argv, netns=netns).returncode == 0


@contextmanager
def answering(netns: str, address: str, port: int, answer: str) -> Iterator[None]:
    """A TCP server in a namespace that says `answer` and the client's address, and closes."""
    with namespace.entered(namespace_path(netns)):
        listener = socket.create_server((address, port))
    listener.settimeout(0.1)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            try:
                connection, peer = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(f"{answer} {peer[0]}".encode())

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield
    finally:
        ending.set()
        server.join()
        listener.close()


def ask(address: str, port: int, *, netns: str = "") -> str:
    """What a server says, asked from a namespace or the host's."""
    if netns:
        with namespace.entered(namespace_path(netns)):
            client = socket.socket()
    else:
        client = socket.socket()
    with client:
        client.settimeout(20)
        client.connect((address, port))
        said = b""
        while part := client.recv(1024):
            said += part
        return said.decode()


def host_state(cluster: str) -> dict[str, str]:
    """All of the host's own state that a cluster could change, by kind, as text that can be compared."""
    return {
        "links": run("ip", "-o", "link"),
        "addresses": _settled(run("ip", "-o", "address")),
        "routes": run("ip", "route", "show", "table", "all"),
        "policy": run("ip", "rule"),
        "rules": run("nft", "list", "ruleset"),
        "iptables": run("iptables-save"),
        "sysctls": "\n".join(
            line for line in attempt("sysctl", "-a", "-r", "^net").stdout.splitlines() if not _VOLATILE.match(line)
        ),
        "mounts": "\n".join(
            " ".join(line.split()[2:]) for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "namespaces": "\n".join(sorted(namespace.list_names())),
        "cgroups": "\n".join(
            str(path) for each in places.cgroup_hierarchies() for path in each.glob(f"netsim/{cluster}*")
        ),
        "directories": "\n".join(map(str, sorted(Path("/run").glob("netn*")))),
    }


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The lines that are only in one of two states, each with its kind."""
    found = []
    for kind in before:
        lines = set(before[kind].splitlines()) ^ set(after[kind].splitlines())
        found += [f"{kind}: {line}" for line in sorted(lines)]
    return found


def _settled(addresses: str) -> str:
    return re.sub(r"valid_lft \d+sec preferred_lft \d+sec", "", addresses)
