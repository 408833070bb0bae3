"""NetworkPolicies on a node with 100 of 300 pods, 100 policies and the rules of 1,000 Services.

A change is timed from the API's answer until a new connection through the node meets it; a guard from the question
until the pod may start. What a policy costs a new connection stands beside the same without a policy.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import Session
from controlplane.api.kinds import NETWORK_POLICY, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.policy import NodePolicies, PolicyConfig, PolicyTable
from controlplane.proxy import LocalTraffic, restore
from controlplane.proxy.endpoints import Chosen
from controlplane.proxy.model import Endpoint, ServicePort
from controlplane.proxy.rules import Style, port_rules
from controlplane.proxy.ruleset import NodeRules, build, jumps
from controlplane.server.assembly import open_registry
from netsim import firewall, namespace
from netsim.mark import Mark
from netsim.namespace import namespace_path

SERVICES = 1000
PODS = 300
POLICIES = 100
CHANGES = 100
GUARDS = 50
CONNECTIONS = 2000
SECONDS = 60
PAUSE_SECONDS = 0.1
NODE, SERVER, CLIENT = "bench-pol-node", "bench-pol-server", "bench-pol-client"
SERVER_ADDRESS, CLIENT_ADDRESS, PORT = "10.44.1.2", "10.44.2.2", 8080
STYLE = Style(LocalTraffic.by_cidr("10.44.0.0/14"))


def run(session: Session) -> None:
    """All figures."""
    with ExitStack() as stack:
        for name in (NODE, SERVER, CLIENT):
            namespace.create_namespace(name, Mark("bench", "node", name))
            stack.callback(namespace.delete_namespace, name)
        _connect()
        stack.enter_context(_listening())
        with namespace.entered(namespace_path(NODE)):
            firewall.restore(_services())
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-policy-"))
        asyncio.run(_measure(session, Path(scratch)))


async def _measure(session: Session, scratch: Path) -> None:
    async with open_registry(scratch / "state.db") as registry:
        client = LocalClient(registry)
        free = [await asyncio.to_thread(_connections) for _ in range(session.runs)]
        for number in range(PODS):
            await _pod(client, f"pod-{number}", f"10.44.{1 + number % 3}.{10 + number // 3}", f"node-{1 + number % 3}")
        await _pod(client, "server", SERVER_ADDRESS, "node-1")
        for number in range(POLICIES):
            await client.create(NETWORK_POLICY, _policy(f"policy-{number}", number % 20), "default")
        informers = Informers(client)
        policies = NodePolicies(PolicyTable(informers), PolicyConfig("node-1", namespace_path(NODE), scratch))
        tasks = [asyncio.create_task(informers.run()), asyncio.create_task(policies.run())]
        try:
            async with asyncio.timeout(SECONDS):
                while policies.applied_version < 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            changes = sorted([took * 1000 for took in await _changes(client)])
            guards = sorted([took * 1000 for took in await _guards(client, policies)])
            await client.create(NETWORK_POLICY, _policy("server", 0, {"app": "server"}), "default")
            await asyncio.sleep(1)
            bound = [await asyncio.to_thread(_connections) for _ in range(session.runs)]
        finally:
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    session.report("a policy changes, until packets meet it, p50", changes[len(changes) // 2], None, "ms")
    session.report("the same, p99", changes[len(changes) * 99 // 100], None, "ms", "<= 100")
    session.report("a pod of selected ones is guarded, p50", guards[len(guards) // 2], None, "ms")
    session.report("the same, worst", guards[-1], None, "ms")
    session.report("new connections a second under policies", bound, free, "1/s", ">= 0.8x", reference_is="no policy")


async def _changes(client: LocalClient) -> list[float]:
    deny = {"metadata": {"name": "deny"}, "spec": {"podSelector": {"matchLabels": {"app": "server"}}}}
    took = []
    for turn in range(CHANGES):
        await asyncio.sleep(PAUSE_SECONDS)
        if turn % 2 == 0:
            await client.create(NETWORK_POLICY, deny, "default")
        else:
            await client.delete(NETWORK_POLICY, "deny", "default")
        began = time.monotonic()
        await asyncio.to_thread(_until, turn % 2 == 1)
        took.append(time.monotonic() - began)
    return took


async def _guards(client: LocalClient, policies: NodePolicies) -> list[float]:
    took = []
    for number in range(GUARDS):
        pod = await _pod(client, f"new-{number}", "", "node-1", number % 20)
        began = time.monotonic()
        await policies.guard(pod, [f"10.44.1.{200 + number}"])
        took.append(time.monotonic() - began)
    return took


def _until(reached: bool) -> None:
    with namespace.entered(namespace_path(CLIENT)):
        while _attempt(0.003) != reached:
            pass


def _attempt(seconds: float) -> bool:
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex((SERVER_ADDRESS, PORT))
        poll = select.poll()
        poll.register(client, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))


def _connections() -> float:
    """New connections a second, one after the other."""
    with namespace.entered(namespace_path(CLIENT)):
        began = time.monotonic()
        for _ in range(CONNECTIONS):
            with socket.socket() as client:
                client.settimeout(SECONDS)
                # Reset at the end: ports that wait to be free again would be measured too.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.connect((SERVER_ADDRESS, PORT))
        return CONNECTIONS / (time.monotonic() - began)


async def _pod(client: LocalClient, name: str, address: str, node: str, app: int | None = None) -> Object:
    label = name if name == "server" else f"app-{app if app is not None else int(name.partition('-')[2]) % 20}"
    body = {
        "metadata": {"name": name, "labels": {"app": label}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "c"}]},
    }
    made = await client.create(POD, body, "default")
    if address:
        status = {"status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}}
        made = await client.patch(POD, name, "default", body=status, subresource="status")
    return made


def _policy(name: str, app: int, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """One that selects the pods of an app and lets in those of another, and all from the client."""
    peers = [{"podSelector": {"matchLabels": {"app": f"app-{(app + 1) % 20}"}}}, {"ipBlock": {"cidr": "10.44.2.0/24"}}]
    rule = {"from": peers, "ports": [{"port": PORT}, {"protocol": "UDP", "port": 53}]}
    selector = {"matchLabels": labels or {"app": f"app-{app}"}}
    return {"metadata": {"name": name}, "spec": {"podSelector": selector, "ingress": [rule]}}


def _services() -> str:
    """The rules of 1,000 Services with three endpoints each."""
    rules = []
    for number in range(SERVICES):
        port = ServicePort("default", f"svc-{number}", "http", "tcp", 80, f"10.48.{number // 250}.{1 + number % 250}")
        endpoints = tuple(Endpoint(f"10.44.{1 + number % 200}.{2 + index}", PORT) for index in range(3))
        rules.append(port_rules(port, Chosen(endpoints, (), endpoints, True), STYLE, "10.128.0.11"))
    node = NodeRules()
    return restore.full(build(node, rules), {}, jumps(node))


def _connect() -> None:
    for number, (name, address) in enumerate(((SERVER, SERVER_ADDRESS), (CLIENT, CLIENT_ADDRESS)), 1):
        gateway = f"10.44.{number}.1"
        ifname = f"veth{number}"
        with namespace.entered(namespace_path(NODE)):
            firewall.run(["ip", "link", "add", ifname, "type", "veth", "peer", "name", "eth0", "netns", name])
            firewall.run(["ip", "addr", "add", f"{gateway}/24", "dev", ifname])
            firewall.run(["ip", "link", "set", ifname, "up"])
            firewall.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        with namespace.entered(namespace_path(name)):
            firewall.run(["ip", "addr", "add", f"{address}/24", "dev", "eth0"])
            firewall.run(["ip", "link", "set", "eth0", "up"])
            firewall.run(["ip", "route", "add", "default", "via", gateway])


@contextmanager
def _listening() -> Iterator[None]:
    """A server that accepts and hangs up."""
    with namespace.entered(namespace_path(SERVER)):
        listener = socket.create_server(("", PORT), backlog=4096)
    listener.settimeout(0.1)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with suppress(TimeoutError):
                listener.accept()[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        listener.close()


if __name__ == "__main__":
    harness.main(run)
