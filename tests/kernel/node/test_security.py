"""What containers of a pod share, and what keeps them from the machine: processes, seccomp, refusals of the node."""

from __future__ import annotations

import json

from tests.kernel.node.conftest import Node, sandbox_files


def shell(script: str, **more: object) -> dict[str, object]:
    return {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script], **more}


async def test_containers_that_share_their_processes_see_each_other(node: Node) -> None:
    other = {"name": "other", "image": "busybox:1.36", "command": ["sleep", "7777"]}
    await node.create("shared", shell("(sleep 8888 &); exec sleep 600"), other, shareProcessNamespace=True)
    await node.until_ready("shared")
    processes = (await node.execute("shared", "ps", "-eo", "pid,args")).out.decode()
    assert processes.splitlines()[1].split() == ["1", "/pause"]
    assert "sleep 7777" in processes

    # Another daemon takes the namespace over as it is, and restarts into it.
    await node.kill()
    node.start()
    await node.agent.registered.wait()
    await node.until_ready("shared")
    await node.execute("shared", "pkill", "-f", "sleep 600")
    await node.until(lambda: node.container("shared").get("restartCount") == 1, "restart")
    await node.until_ready("shared")
    processes = (await node.execute("shared", "ps", "-eo", "pid,args")).out.decode()
    assert processes.splitlines()[1].split() == ["1", "/pause"]
    assert "sleep 7777" in processes
    assert processes.count("sleep 8888") == 1
    await node.delete("shared")
    assert sandbox_files(node) == []


async def test_a_pod_alone_is_its_first_process(node: Node) -> None:
    await node.create("alone", shell("exec sleep 600"))
    await node.until_ready("alone")
    processes = (await node.execute("alone", "ps", "-eo", "pid,args")).out.decode()
    assert processes.splitlines()[1].split() == ["1", "sleep", "600"]


async def test_seccomp_profiles_hold(node: Node) -> None:
    script = "grep ^Seccomp: /proc/self/status; unshare -m true 2>/dev/null && echo may || echo may not"
    profiles = node.config.state_directory / "seccomp/profiles"
    profiles.mkdir(parents=True)
    refused = {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    (profiles / "own.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}))
    admin = {"capabilities": {"add": ["SYS_ADMIN"]}}
    cases = {
        "none": ({}, "0", "may not"),
        "admin": (admin, "0", "may"),
        "default": ({"seccompProfile": {"type": "RuntimeDefault"}}, "2", "may not"),
        "own": (
            {**admin, "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/own.json"}},
            "2",
            "may not",
        ),
    }
    for name, (context, _, _) in cases.items():
        await node.create(name, shell(script, securityContext=context), restartPolicy="Never")
    for name, (_, mode, verdict) in cases.items():
        await node.until(lambda name=name: node.status(name).get("phase") == "Succeeded", name)
        assert (await node.log(name)).split(maxsplit=2) == ["Seccomp:", mode, f"{verdict}\n"], name


async def test_a_program_under_the_default_profile_works(node: Node) -> None:
    script = "python3 -c 'import threading, socket; t=threading.Thread(target=print, args=(1,)); t.start(); t.join()'"
    context = {"seccompProfile": {"type": "RuntimeDefault"}}
    await node.create("threads", shell(script, securityContext=context), restartPolicy="Never")
    await node.until(lambda: node.status("threads").get("phase") in ("Succeeded", "Failed"))
    assert await node.log("threads") == "1\n"


async def test_a_pod_that_the_node_refuses_is_failed(node: Node) -> None:
    sysctl = {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
    await node.create("sysctl", shell("sleep 600"), securityContext=sysctl)
    await node.until(lambda: node.status("sysctl").get("phase") == "Failed")
    assert node.status("sysctl")["reason"] == "SysctlForbidden"
    assert node.status("sysctl")["message"] == 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'
    await node.until_event("sysctl", "SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted')
    profile = {"appArmorProfile": {"type": "Localhost", "localhostProfile": "no-such-profile"}}
    await node.create("armoured", shell("sleep 600", securityContext=profile))
    await node.until(lambda: node.status("armoured").get("phase") == "Failed")
    assert node.status("armoured")["reason"] == "AppArmor"
    assert node.status("armoured")["message"].startswith("Pod was rejected: Cannot enforce AppArmor: ")
    assert sandbox_files(node) == []
