"""Ephemeral containers: they join a running pod, run once, and never decide about its phase."""

from __future__ import annotations

from typing import Any

from controlplane.api.kinds import POD
from controlplane.api.types import Object
from tests.kernel.node.conftest import Node

SLEEPER = {"name": "c", "image": "busybox", "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]}
LOOK = "hostname; cat /proc/1/cmdline | tr '\\0' ' '; ls /sys/class/net"


async def debug(node: Node, pod: str, name: str, *command: str, **fields: Any) -> None:
    container = {"name": name, "image": "busybox", "command": list(command), **fields}
    body = {"spec": {"ephemeralContainers": [container]}}
    await node.client.patch(POD, pod, "default", body=body, patch_type="strategic", subresource="ephemeralcontainers")


def status(node: Node, pod: str, name: str) -> Object:
    found = node.status(pod).get("ephemeralContainerStatuses") or []
    return next((one for one in found if one["name"] == name), {})


def ended(node: Node, pod: str, name: str) -> Object:
    return status(node, pod, name).get("state", {}).get("terminated") or {}


async def test_it_joins_the_pod_and_its_targets_processes(node: Node) -> None:
    await node.create("one", SLEEPER)
    await node.until_ready("one")
    await debug(node, "one", "beside", "sh", "-c", LOOK)
    await debug(node, "one", "inside", "sh", "-c", f"{LOOK}; exit 3", targetContainerName="c")
    await node.until(lambda: ended(node, "one", "beside") and ended(node, "one", "inside"), "both ended")
    assert ended(node, "one", "inside")["exitCode"] == 3
    assert (await node.log("one", "beside")).splitlines()[0] == "one"
    assert "sleep 600" not in await node.log("one", "beside")
    inside = (await node.log("one", "inside")).splitlines()
    assert "sleep 600 & wait" in inside[1]
    assert "eth0" in inside[2:] or inside[1].endswith("eth0")
    found = status(node, "one", "inside")
    assert (found["ready"], found["restartCount"], "started" in found) == (False, 0, False)
    assert node.ready("one")
    await node.until_event("one", "Started", "Container started")


async def test_it_is_never_restarted_and_goes_with_its_pod(node: Node) -> None:
    await node.create("one", SLEEPER, terminationGracePeriodSeconds=1)
    await node.until_ready("one")
    await debug(node, "one", "once", "sh", "-c", "exit 1")
    await debug(node, "one", "stays", "sleep", "600")
    await node.until(lambda: ended(node, "one", "once"), "ended")
    await node.until(lambda: status(node, "one", "stays")["state"].get("running"), "running")
    await node.kill()
    node.start()
    await node.until_ready("one")
    assert status(node, "one", "once")["restartCount"] == 0
    assert status(node, "one", "stays")["state"].get("running")
    await node.delete("one")


async def test_a_pod_that_has_ended_ends_it(node: Node) -> None:
    once = {"name": "c", "image": "busybox", "command": ["sh", "-c", "until test -e /tmp/go; do sleep 0.05; done"]}
    await node.create("one", once, restartPolicy="Never", terminationGracePeriodSeconds=0)
    await node.until_ready("one")
    await debug(node, "one", "stays", "sleep", "600")
    await node.until(lambda: status(node, "one", "stays").get("state", {}).get("running"), "running")
    assert (await node.execute("one", "touch", "/tmp/go")).status == 0
    await node.until(lambda: node.status("one").get("phase") == "Succeeded", "succeeded")
    await node.until(lambda: ended(node, "one", "stays"), "ended with its pod")


async def test_a_target_that_does_not_run_is_named(node: Node) -> None:
    gone = {"name": "gone", "image": "busybox", "command": ["true"]}
    await node.create("one", SLEEPER, gone, restartPolicy="Never")
    await node.until(lambda: (node.container("one", 1).get("state") or {}).get("terminated"), "one container ended")
    await debug(node, "one", "late", "true", targetContainerName="gone")
    waiting = await node.until(lambda: status(node, "one", "late").get("state", {}).get("waiting"), "waits")
    assert waiting["reason"] == "CreateContainerConfigError"
    assert waiting["message"] == "unable to find target container gone"
