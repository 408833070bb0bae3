"""How a node's policies follow the API: before a pod's first packet, quickly after a change, across restarts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.kinds import EVENT, NAMESPACE, NETWORK_POLICY, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.client.recorder import EventRecorder
from controlplane.policy import DenialLog, NodePolicies, PolicyConfig, PolicyTable
from controlplane.policy.errors import PolicyNotApplied
from controlplane.server.assembly import open_registry
from netsim import firewall, namespace
from netsim.namespace import namespace_path
from tests.kernel.policy.conftest import World

CHANGES = 20
DENY: Object = {"podSelector": {}, "policyTypes": ["Ingress"]}
FROM_CLIENT: Object = {
    "podSelector": {"matchLabels": {"app": "web"}},
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}],
}


class Cluster:
    """The API, and the policies of the world's node on it."""

    def __init__(self, client: LocalClient, world: World, directory: Path) -> None:
        self.client = client
        self.world = world
        self.directory = directory
        self.objects: dict[str, Object] = {}
        self.informers: Informers | None = None
        self.log = directory / "policy.log"

    async def pod(self, name: str, *, status: bool = True) -> Object:
        """One of the world's pods as an object; without `status` the API does not know its address yet."""
        pod = self.world.pods[name]
        body = {
            "metadata": {"name": name, "labels": dict(pod.labels)},
            "spec": {"nodeName": pod.node, "containers": [{"name": "c", "image": "c"}]},
        }
        self.objects[name] = await self.client.create(POD, body, pod.namespace)
        if status:
            told = {"status": {"podIP": pod.address, "podIPs": [{"ip": pod.address}], "phase": "Running"}}
            await self.client.patch(POD, name, pod.namespace, body=told, subresource="status")
        informers = self.informers
        if informers is not None:
            # A node's agent hears of a pod by the same informer.
            await until(lambda: informers.of(POD).get(name, pod.namespace))
        return self.objects[name]

    async def policy(self, name: str, spec: Object) -> None:
        body = {"metadata": {"name": name}, "spec": spec}
        await self.client.create(NETWORK_POLICY, body, "default")

    async def unpolicy(self, name: str) -> None:
        await self.client.delete(NETWORK_POLICY, name, "default")

    @asynccontextmanager
    async def enforced(self, *, synced: bool = True, **options: Any) -> AsyncIterator[NodePolicies]:
        """The node's applier at work, its first sync done unless told otherwise."""
        self.informers = informers = Informers(self.client)
        table = PolicyTable(informers)
        config = PolicyConfig("node-1", namespace_path(self.world.node), self.directory, **options)
        recorder = EventRecorder(self.client, "netsim-policy", "node-1")
        policies = NodePolicies(table, config, denials=DenialLog(self.log), recorder=recorder)
        tasks = [asyncio.create_task(informers.run()), asyncio.create_task(policies.run())]
        try:
            if synced:
                await until(lambda: policies.applied_version >= 0)
            yield policies
        finally:
            self.informers = None
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def told(self) -> bool:
        """Whether an event about the node says that policies are not enforced."""
        events = (await self.client.list(EVENT)).items
        return any(
            (e["involvedObject"]["kind"], e["reason"]) == ("Node", "NetworkPolicyNotEnforced")
            and "NOWHERE" in e["message"]
            for e in events
        )

    async def connects(self, source: str, target: str) -> bool:
        return await asyncio.to_thread(self.world.connects, source, target)


async def until(seen: Callable[[], Any], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not seen():  # noqa: ASYNC110 - the kernel gives no event to wait for
            await asyncio.sleep(0.001)


async def until_true(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await ask():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@pytest.fixture
async def api(shared_world: World, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with open_registry(tmp_path / "state.db") as registry:
        client = LocalClient(registry)
        await client.create(NAMESPACE, {"metadata": {"name": "tools", "labels": {"purpose": "tools"}}})
        cluster = Cluster(client, shared_world, tmp_path)
        yield cluster
        for policy in (await client.list(NETWORK_POLICY)).items:
            await client.delete(NETWORK_POLICY, policy["metadata"]["name"], policy["metadata"]["namespace"])
        async with cluster.enforced():
            await until(lambda: "NETSIM" not in shared_world.saved() + shared_world.sets())


async def test_without_a_policy_there_is_no_rule_no_set_and_no_thread(api: Cluster) -> None:
    await api.pod("web")
    async with api.enforced() as policies:
        assert "NETSIM" not in api.world.saved() + api.world.sets()
        assert not [each.name for each in threading.enumerate() if each.name.startswith("policy-")]
        await api.policy("deny", DENY)
        await until(lambda: "NETSIM-IN" in api.world.saved())
        await api.unpolicy("deny")
        await until(lambda: "NETSIM" not in api.world.saved() + api.world.sets())
        await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("policy-")])
        await policies.guard(api.objects["web"], ["10.44.1.2"])


async def test_a_pod_is_guarded_before_the_api_knows_its_address(api: Cluster) -> None:
    await api.policy("deny", DENY)
    async with api.enforced() as policies:
        web = await api.pod("web", status=False)
        assert await api.connects("client", "web"), "nobody has guarded it yet"
        await policies.guard(web, [api.world.pods["web"].address])
        assert not await api.connects("client", "web")


async def test_a_guard_waits_for_the_policies_to_be_listed(api: Cluster) -> None:
    await api.policy("deny", DENY)
    web = await api.pod("web", status=False)
    async with api.enforced(synced=False) as policies:
        await policies.guard(web, [api.world.pods["web"].address])
        assert not await api.connects("client", "web")


async def test_a_peer_counts_as_soon_as_it_is_guarded(api: Cluster) -> None:
    await api.policy("web", FROM_CLIENT)
    async with api.enforced() as policies:
        await policies.guard(await api.pod("web"), [api.world.pods["web"].address])
        client = await api.pod("client", status=False)
        assert not await api.connects("client", "web")
        await policies.guard(client, [api.world.pods["client"].address])
        await until_true(lambda: api.connects("client", "web"))


async def test_a_pod_does_not_start_when_its_policy_cannot_be_written(
    api: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.enforced() as policies:
        web = await api.pod("web", status=False)
        real = firewall.restore
        monkeypatch.setattr(firewall, "restore", lambda text, **_: real("*filter\n-A NOWHERE -j NOTHING\nCOMMIT\n"))
        await api.policy("deny", DENY)
        with pytest.raises(PolicyNotApplied, match="NOWHERE"):
            # At first the policy may not be known yet, and then nothing keeps the pod.
            await until_true(lambda: never(policies.guard(web, ["10.44.1.2"])))
        await until_true(api.told)
        monkeypatch.undo()
        await until(lambda: "NETSIM-IN" in api.world.saved())
        await policies.guard(web, ["10.44.1.2"])


async def test_a_kernel_that_lacks_what_is_dispensable_denies_all_the_same(
    api: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = firewall.restore

    def lacking(text: str, **_: Any) -> None:
        real(text.replace("--bytecode", "--no-such").replace("--nflog-group", "--no-such"))

    monkeypatch.setattr(firewall, "restore", lacking)
    web = await api.pod("web", status=False)
    async with api.enforced() as policies:
        await api.policy("deny", DENY)
        await policies.guard(web, [api.world.pods["web"].address])
        await until(lambda: "DROP" in api.world.saved().partition("NETSIM-IN")[2])
        assert not await api.connects("client", "web")
        assert "NFLOG" not in api.world.saved()
        assert "bpf" not in api.world.saved()


async def never(guarding: Awaitable[None]) -> bool:
    await guarding
    return False


async def test_changes_reach_packets(api: Cluster) -> None:
    """From the API's answer until a packet meets the change, for policies that come and go."""
    for name in ("web", "client", "other", "far"):
        await api.pod(name)

    async def reached() -> bool:
        return await asyncio.to_thread(api.world.connects, "far", "web", patience=0.004)

    async def denied_now() -> bool:
        return not await reached()

    async with api.enforced():
        for _ in range(CHANGES // 2):
            await api.policy("deny", DENY)
            await until_true(denied_now)
            await api.unpolicy("deny")
            await until_true(reached)


async def test_rules_outlive_the_applier_and_are_adopted_without_a_gap(api: Cluster) -> None:
    await api.pod("web")
    await api.policy("deny", DENY)
    async with api.enforced():
        await until(lambda: "NETSIM-IN" in api.world.saved())
    before = api.world.saved(), api.world.sets().splitlines()[0]
    passed: list[bool] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            passed.append(bool(api.world.connected({(s, "web", p) for s in ("client", "far") for p in (80, 81, 90)})))

    hammering = threading.Thread(target=hammer)
    hammering.start()
    try:
        for _ in range(3):
            async with api.enforced():
                pass
    finally:
        stop.set()
        hammering.join()
    assert passed
    assert not any(passed)
    assert (api.world.saved(), api.world.sets().splitlines()[0]) == before


async def test_what_changed_while_it_was_away_is_made_up_for(api: Cluster) -> None:
    for name in ("web", "client"):
        await api.pod(name)
    await api.policy("deny", DENY)
    async with api.enforced():
        await until(lambda: "NETSIM-IN" in api.world.saved())
    await api.unpolicy("deny")
    await api.policy("web", FROM_CLIENT)
    async with api.enforced():
        await until(lambda: "NETSIM-PEER" in api.world.sets())
        assert await api.connects("client", "web")
        assert not await api.connects("far", "web")
        assert "default/deny" not in api.world.saved()


async def test_flushed_rules_and_a_jump_that_is_not_first_are_mended(api: Cluster) -> None:
    await api.pod("web")
    await api.policy("deny", DENY)
    async with api.enforced(check_seconds=0.1) as policies:
        await until(lambda: "NETSIM-IN" in api.world.saved())
        with namespace.entered(namespace_path(api.world.node)):
            firewall.restore("*filter\n-I FORWARD 1 -m comment --comment other -j ACCEPT\nCOMMIT\n")
        policies.recheck()
        await until(lambda: first_rule(api.world).endswith("-j NETSIM-POLICY"))
        assert not await api.connects("far", "web")
        with namespace.entered(namespace_path(api.world.node)):
            firewall.restore("*filter\n-D FORWARD -m comment --comment other -j ACCEPT\n-F NETSIM-POLICY\nCOMMIT\n")
            firewall.restore(
                '*filter\n-D FORWARD -m comment --comment "netsim network policies" -j NETSIM-POLICY\nCOMMIT\n'
            )
        await until(lambda: first_rule(api.world).endswith("-j NETSIM-POLICY"))
        assert not await api.connects("far", "web")


def first_rule(world: World) -> str:
    return next((line for line in world.saved().splitlines() if line.startswith("-A FORWARD ")), "")


async def test_denied_packets_are_logged_by_name(api: Cluster) -> None:
    for name in ("web", "client"):
        await api.pod(name)
    await api.policy("deny", DENY)
    async with api.enforced():
        await until(lambda: "NETSIM-IN" in api.world.saved())
        await until_true(lambda: logged(api))
    fields = dict(word.partition("=")[::2] for word in api.log.read_text().splitlines()[0].split()[1:])
    assert fields == {
        "node": "node-1",
        "direction": "ingress",
        "policy": "default/deny",
        "pod": "default/web",
        "peer": "default/client",
        "protocol": "tcp",
        "port": "80",
        "source": "10.44.1.3",
        "destination": "10.44.1.2",
    }


async def logged(api: Cluster) -> bool:
    await api.connects("client", "web")
    return api.log.exists()


async def test_a_label_of_a_namespace_and_of_a_pod_is_followed(api: Cluster) -> None:
    for name in ("web", "other"):
        await api.pod(name)
    tools = {"namespaceSelector": {"matchLabels": {"purpose": "tools"}}}
    await api.policy("web", {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [tools]}]})
    async with api.enforced():
        await until_true(lambda: api.connects("other", "web"))
        await api.client.patch(NAMESPACE, "tools", body={"metadata": {"labels": {"purpose": "none"}}})
        await until_true(lambda: not_connects(api, "other", "web"))
        await api.client.patch(POD, "web", "default", body={"metadata": {"labels": {"app": "free"}}})
        await until_true(lambda: api.connects("other", "web"))


async def not_connects(api: Cluster, source: str, target: str) -> bool:
    return not await api.connects(source, target)


async def test_a_pod_is_guarded_though_nothing_can_be_written_of_what_changed(api: Cluster) -> None:
    blocked = api.directory / "blocked"
    blocked.write_text("no directory")
    api.directory = blocked / "node-1"
    await api.policy("deny", DENY)
    async with api.enforced() as policies:
        pod = await api.pod("web", status=False)
        await policies.guard(pod, [api.world.pods["web"].address])
        assert "NETSIM-IN" in api.world.saved()
