"""What happens to pods when the daemon is killed, and what its successor makes of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from controlplane.api.errors import NotFound
from controlplane.api.kinds import POD, SERVICE
from controlplane.node.config import DISKS
from controlplane.node.sandbox import FILE, Sandbox
from netsim import syscalls
from tests.kernel.node.conftest import Node, sandbox_files

SERVER = {"name": "c", "image": "nginx:1.25"}


def _pid(node: Node, name: str) -> int:
    container_id = node.container(name)["containerID"].partition("://")[2]
    return int((node.config.run / "containers" / container_id / "pid").read_text())


async def test_running_pods_go_on_and_are_taken_over(node: Node) -> None:
    await node.create("web", SERVER)
    before = await node.until_ready("web")
    pid = _pid(node, "web")
    await node.kill()
    assert "pod: web" in await node.fetch(before["status"]["podIP"], 80)

    node.start()
    await node.agent.registered.wait()
    await node.until_ready("web")
    assert _pid(node, "web") == pid
    assert node.pod("web")["status"] == before["status"]
    assert (await node.execute("web", "echo", "still here")).out == b"still here\n"
    await node.delete("web")
    assert sandbox_files(node) == []


async def test_one_that_died_meanwhile_is_restarted_with_its_status_told(node: Node) -> None:
    await node.create("web", SERVER)
    before = await node.until_ready("web")
    pid = _pid(node, "web")
    await node.kill()
    os.kill(pid, signal.SIGKILL)

    node.start()
    await node.until(lambda: node.container("web").get("restartCount") == 1 and node.ready("web"))
    assert node.container("web")["lastState"]["terminated"]["exitCode"] == 137
    assert node.pod("web")["status"]["podIP"] == before["status"]["podIP"]


async def test_one_that_was_deleted_meanwhile_is_removed(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    pid = _pid(node, "web")
    await node.kill()
    await node.client.delete(POD, "web", "default", grace_period_seconds=0)

    node.start()
    await node.until(lambda: not Path(f"/proc/{pid}").exists() and not sandbox_files(node))


async def test_one_that_was_ending_goes_on_ending(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    pid = _pid(node, "web")
    await node.client.delete(POD, "web", "default")
    await node.kill()

    node.start()

    async def gone() -> bool:
        try:
            await node.client.get(POD, "web", "default")
        except NotFound:
            return True
        return False

    await node.eventually(gone)
    await node.until(lambda: not Path(f"/proc/{pid}").exists() and not sandbox_files(node))


async def test_a_dead_monitor_is_noticed(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    container_id = node.container("web")["containerID"].partition("://")[2]
    monitor = int((node.config.run / "containers" / container_id / "conmon.pid").read_text())
    os.kill(monitor, signal.SIGKILL)
    await node.until(lambda: node.container("web").get("restartCount") == 1 and node.ready("web"))


@pytest.mark.parametrize("after", [0.02, 0.06, 0.1, 0.15])
async def test_killed_in_the_middle_of_starting_pods_nothing_is_lost_or_doubled(node: Node, after: float) -> None:
    names = [f"web-{number}" for number in range(6)]
    for name in names:
        await node.create(name, SERVER)
    await asyncio.sleep(after)
    await node.kill()

    node.start()
    for name in names:
        await node.until_ready(name)
        assert node.container(name)["restartCount"] == 0
    bundles = {path.name for path in (node.config.run / "containers").iterdir()}
    assert bundles == {node.container(name)["containerID"].partition("://")[2] for name in names}
    assert len({node.pod(name)["status"]["podIP"] for name in names}) == len(names)


async def test_an_agent_that_failed_can_be_run_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.create("web", SERVER)
    before = await node.until_ready("web")
    pid, agent = _pid(node, "web"), node.agent

    async def broken() -> None:
        raise RuntimeError("broken")

    # The recorder is one of the agent's tasks; its end is the agent's.
    with monkeypatch.context() as patch:
        patch.setattr("controlplane.client.recorder.EventRecorder.run", lambda _: broken())
        await node.stop_agent()
        node.start_agent(agent)
        with pytest.raises(ExceptionGroup):
            await node.agent_ended()

    node.start_agent(agent)
    await node.create("second", SERVER)
    await node.until_ready("second")
    assert _pid(node, "web") == pid
    assert node.pod("web")["status"] == before["status"]
    await node.delete("web")
    await node.delete("second")
    assert sandbox_files(node) == []


async def test_a_pod_with_a_broken_bundle_hinders_no_other(node: Node) -> None:
    for name in ("broken", "sound"):
        await node.create(name, SERVER)
        await node.until_ready(name)
    await node.kill()
    container_id = node.container("broken")["containerID"].partition("://")[2]
    shutil.rmtree(node.config.run / "containers" / container_id / "standin")
    (node.config.run / "containers" / "stray").write_text("no directory")
    (node.config.run / "sandboxes" / "stray").write_text("no directory")

    ports = [{"port": 80, "targetPort": 5005}]
    for name in ("broken", "sound"):
        service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}
        await node.client.create(SERVICE, service, "default")
    node.start()
    address = (await node.until_ready("sound"))["status"]["podIP"]

    async def answered() -> str:
        return await node.fetch(address, 5005)

    assert "pod: sound" in await node.eventually(answered)
    await node.create("new", SERVER)
    await node.until_ready("new")
    await node.delete("broken")


async def test_what_pods_have_left_that_are_no_more_is_removed_and_tried_again(node: Node) -> None:
    await node.kill()
    config, pinned = node.config, node.config.pods / "gone" / "c_0"
    pinned.mkdir(parents=True)
    (config.run / "volumes" / "forgotten" / "m").mkdir(parents=True)
    stage = config.run / "staged" / f"{DISKS}-lost"
    (stage / "pods").mkdir(parents=True)
    (stage / "pods" / "vanished").touch()
    half = Sandbox("half", "half", "default", "half", "", "half", str(config.run / "sandboxes" / "half"), 0.0)
    half.path.mkdir(parents=True)
    (half.path / FILE).write_bytes(orjson.dumps(asdict(half)))
    syscalls.mount(str(pinned), str(pinned), flags=syscalls.MS_BIND)

    node.start()
    await node.until(lambda: not stage.exists() and sandbox_files(node) == [config.pods / "gone"], "all but one")
    await node.create("web", SERVER)
    await node.until_ready("web")
    syscalls.unmount(str(pinned))
    await node.until(lambda: not pinned.parent.exists(), "that one")
