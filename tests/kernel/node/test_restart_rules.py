"""Containers that decide for themselves whether they restart, and pods that decide how they are called."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tests.kernel.node.conftest import Node


def shell(name: str, script: str, **more: object) -> dict[str, object]:
    return {"name": name, "image": "busybox:1.36", "command": ["sh", "-c", script], **more}


async def test_a_rule_restarts_what_its_policy_would_not(node: Node) -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    volume = {"name": "v", "mountPath": "/v"}
    script = "if [ -e /v/again ]; then exit 7; fi; touch /v/again; exit 42"
    tried = shell("c", script, restartPolicy="Never", restartPolicyRules=[rule], volumeMounts=[volume])
    await node.create("rules", tried, restartPolicy="Always", volumes=[{"name": "v", "emptyDir": {}}])
    await node.until(lambda: node.status("rules").get("phase") == "Failed", "the pod to fail")
    status = node.container("rules")
    assert (status["restartCount"], status["state"]["terminated"]["exitCode"]) == (1, 7)


async def test_a_container_s_own_policy_goes_before_the_pod_s(node: Node) -> None:
    once, again = shell("c", "exit 0", restartPolicy="Never"), shell("d", "exit 1", restartPolicy="OnFailure")
    await node.create("own", once, again, restartPolicy="Never")
    await node.until(lambda: node.container("own", 1).get("restartCount", 0) >= 1, "a restart")
    assert node.container("own")["restartCount"] == 0
    assert node.status("own")["phase"] == "Running"


async def test_a_pod_is_called_as_it_asks(node: Node) -> None:
    script = "hostname; cat /etc/hostname; echo $HOSTNAME; tail -n 1 /etc/hosts | cut -f 2-"
    full = {"hostname": "web", "subdomain": "sub", "setHostnameAsFQDN": True, "restartPolicy": "Never"}
    await node.create("full", shell("c", script), **full)
    await node.create("other", shell("c", script), hostnameOverride="my.own.name", restartPolicy="Never")
    for name in ("full", "other"):
        await node.until(lambda name=name: node.status(name).get("phase") == "Succeeded", name)
    name = "web.sub.default.svc.cluster.local"
    assert (await node.log("full")).split() == [name, name, name, name, "web"]
    assert (await node.log("other")).split() == ["my.own.name"] * 4


async def test_a_name_that_the_kernel_has_no_room_for_is_told(node: Node) -> None:
    await node.create("long", shell("c", "true"), hostname="w" * 30, subdomain="s" * 30, setHostnameAsFQDN=True)
    name = f"{'w' * 30}.{'s' * 30}.default.svc.cluster.local"
    await node.until_event(
        "long",
        "FailedCreatePodSandBox",
        f"Failed to create pod sandbox: Failed to construct FQDN from Pod hostname and cluster domain, FQDN {name} is "
        f"too long (64 characters is the max, {len(name)} characters requested)",
    )


async def test_a_mount_is_read_only_with_what_is_mounted_in_it(node: Node) -> None:
    outer = str(node.config.state_directory / "outer")
    script = "touch /plain/inner/a && echo may; touch /strict/inner/a || echo may not"
    mounts = [
        {"name": "v", "mountPath": "/plain", "readOnly": True, "recursiveReadOnly": "Disabled"},
        {"name": "v", "mountPath": "/strict", "readOnly": True, "recursiveReadOnly": "Enabled"},
    ]
    volumes = [{"name": "v", "hostPath": {"path": outer, "type": "DirectoryOrCreate"}}]
    inner = Path(outer, "inner")
    await asyncio.to_thread(inner.mkdir, parents=True)
    await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "none", str(inner)], check=True)
    try:
        await node.create("mounts", shell("c", script, volumeMounts=mounts), volumes=volumes, restartPolicy="Never")
        await node.until(lambda: node.status("mounts").get("phase") == "Succeeded")
        said = (await node.log("mounts")).splitlines()
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(inner)], check=True)
    assert (said[0], said[-1]) == ("may", "may not")
