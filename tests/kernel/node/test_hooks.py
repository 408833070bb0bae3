"""postStart and preStop whatever comes of them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tests.kernel.node.conftest import Node

LONG_LINE = "import socketserver as s, threading\nclass H(s.BaseRequestHandler):\n" + (
    "  def handle(self):\n    self.request.sendall(b'x' * 200000); self.request.recv(9)\n"
    "s.TCPServer.allow_reuse_address = True\ns.TCPServer(('', 9000), H).serve_forever()"
)
WAITS = {"exec": {"command": ["sh", "-c", "until [ -e /go ]; do sleep 0.05; done"]}}
BRIEF = {"terminationGracePeriodSeconds": 1}


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "busybox", "command": ["sh", "-c", script], **more}


async def test_a_hook_that_goes_wrong_does_not_keep_a_pod_from_ending(node: Node) -> None:
    probe = {"tcpSocket": {"port": 9000}}
    server = {"name": "c", "image": "python", "command": ["python3", "-c", LONG_LINE], "readinessProbe": probe}
    await node.create("hooked", server | {"lifecycle": {"preStop": {"httpGet": {"port": 9000}}}}, **BRIEF)
    await node.until_ready("hooked")
    await node.delete("hooked")
    await node.until_event("hooked", "FailedPreStopHook", "PreStopHook failed")


async def test_hooks_that_wait_hold_no_worker(node: Node) -> None:
    waiting = shell("sleep inf", lifecycle={"postStart": WAITS})
    for number in range(node.config.workers):
        await node.create(f"waits-{number}", waiting, shell("sleep inf") | {"name": "after"})
    for number in range(node.config.workers):
        await node.until(functools.partial(_runs, node, f"waits-{number}"), "hook begun")
    await node.create("other", shell("sleep inf"))
    await node.until_ready("other")
    assert not node.ready("waits-0")
    assert _state(node, "waits-0", "after") == {"waiting"}, "containers after it wait"
    await node.execute("waits-0", "touch", "/go")
    await node.until_ready("waits-0")


async def test_a_failed_post_start_ends_the_container(node: Node) -> None:
    await node.create("failing", shell("sleep inf", lifecycle={"postStart": {"exec": {"command": ["false"]}}}), **BRIEF)
    await node.until(lambda: node.container("failing").get("restartCount", 0) > 0, "restarted")
    await node.until_event("failing", "FailedPostStartHook", "PostStartHook failed")


async def test_sidecars_end_last_and_in_the_reverse_of_their_order(node: Node, tmp_path: Path) -> None:
    def told(name: str, **more: Any) -> dict[str, Any]:
        script = f"trap 'sleep 0.2; echo {name} >> /v/ends; exit' TERM; while :; do sleep 0.05; done"
        return shell(script, volumeMounts=[{"name": "v", "mountPath": "/v"}], **more) | {"name": name}

    sidecars = [told(name, restartPolicy="Always") for name in ("first", "second")]
    volume = {"name": "v", "hostPath": {"path": str(tmp_path)}}
    await node.create("ordered", told("main"), initContainers=sidecars, volumes=[volume])
    await node.until_ready("ordered")
    await node.delete("ordered")
    assert (tmp_path / "ends").read_text().split() == ["main", "second", "first"]


async def test_a_program_hears_of_its_end_however_long_its_hook_takes(node: Node, tmp_path: Path) -> None:
    mount = {"name": "v", "mountPath": "/v"}
    script = "trap 'echo told > /v/end; exit' TERM; while :; do sleep 0.05; done"
    slow = shell(script, volumeMounts=[mount], lifecycle={"preStop": {"sleep": {"seconds": 1}}})
    await node.create("slow", slow, volumes=[{"name": "v", "hostPath": {"path": str(tmp_path)}}], **BRIEF)
    await node.until_ready("slow")
    await node.delete("slow")
    assert (tmp_path / "end").read_text() == "told\n"


def _runs(node: Node, pod: str) -> bool:
    return _state(node, pod, "c") == {"running"}


def _state(node: Node, pod: str, container: str) -> set[str]:
    statuses = node.status(pod).get("containerStatuses") or []
    return next((set(s["state"]) for s in statuses if s["name"] == container), set())
