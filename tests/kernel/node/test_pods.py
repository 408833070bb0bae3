"""Pods from bound to Ready and back, on a real node."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time

import pytest

from controlplane.api.kinds import CONFIG_MAP, NODE, POD, SECRET, SERVICE
from controlplane.node.images import applets
from controlplane.node.runtime.concessions import own_oom_score
from controlplane.node.runtime.oci import DEFAULT_PATH
from tests.kernel.node.conftest import Node, sandbox_files

SERVER = {"name": "c", "image": "nginx:1.25"}


def shell(script: str, **more: object) -> dict[str, object]:
    return {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script], **more}


async def test_a_server_stands_in_and_says_so(node: Node) -> None:
    await node.create("web", SERVER)
    pod = await node.until_ready("web")
    address = pod["status"]["podIP"]
    assert address.startswith("10.44.1.")
    for port in (80, 8080):
        answer = dict(line.split(": ", 1) for line in (await node.fetch(address, port, "/hello")).splitlines())
        assert answer["pod"] == "web"
        assert answer["node"] == "node-1"
        assert answer["image"] == "nginx:1.25"
        assert answer["request"] == "GET /hello HTTP/1.1"
    assert node.container("web")["imageID"] == "standin://nginx:1.25"
    runtime = "crun" if shutil.which("crun") else "runc"
    assert node.container("web")["containerID"].startswith(f"{runtime}://")
    await node.until_event("web", "Created", "Container created")
    await node.until_event("web", "Started", "Container started")
    events = await node.events("web")
    assert any(reason == "Pulled" and 'image "nginx:1.25" is a stand-in' in message for reason, message in events)

    await node.delete("web")
    await node.until_event("web", "Killing", "Stopping container c")
    assert sandbox_files(node) == []


async def test_the_node_is_registered_ready(node: Node) -> None:
    nodes = node.informers.of(NODE)

    def conditions() -> dict[str, str]:
        found = nodes.get("node-1") or {}
        return {c["type"]: c["status"] for c in found.get("status", {}).get("conditions", [])}

    await node.until(lambda: conditions().get("Ready") == "True")
    assert conditions() == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    found = nodes.get("node-1")
    assert found is not None
    assert found["status"]["nodeInfo"]["containerRuntimeVersion"].partition("://")[0] in ("crun", "runc")
    assert found["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"


async def test_a_service_made_later_opens_its_target_port(node: Node) -> None:
    await node.create("web", SERVER)
    address = (await node.until_ready("web"))["status"]["podIP"]
    assert await node.fetch(address, 5005) == ""
    service = {
        "metadata": {"name": "s"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 1, "targetPort": 5005}]},
    }
    await node.client.create(SERVICE, service, "default")

    async def served() -> bool:
        return "pod: web" in await node.fetch(address, 5005)

    await node.eventually(served)
    assert node.container("web")["restartCount"] == 0


async def test_two_containers_share_the_pods_network(node: Node) -> None:
    proxy = {"name": "c", "image": "proxy", "ports": [{"containerPort": 80}]}
    app = {"name": "app", "image": "app", "ports": [{"containerPort": 8000}]}
    await node.create("pair", proxy, app)
    await node.until_ready("pair")
    ran = await node.execute("pair", "curl", "-s", "localhost:8000")
    assert b"image: app" in ran.out
    assert b"client: 127.0.0.1:" in ran.out or b"client: [::1]:" in ran.out, (
        "which of the two localhost is, glibc chooses"
    )


async def test_what_a_manifest_gives_its_program(node: Node) -> None:
    await node.client.create(CONFIG_MAP, {"metadata": {"name": "cm"}, "data": {"k": "v", "f": "text"}}, "default")
    await node.client.create(SECRET, {"metadata": {"name": "s"}, "data": {"p": "dw=="}}, "default")
    script = (
        "echo $A $S_p $K $IP $HOSTNAME; cat /cm/f; echo; pwd; cat /dp/labels; echo; touch /usr/share/html/x; sleep 99"
    )
    container = shell(
        script,
        workingDir="/srv/app",
        env=[
            {"name": "B", "value": "b"},
            {"name": "A", "value": "a-$(B)"},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        envFrom=[{"secretRef": {"name": "s"}, "prefix": "S_"}],
        volumeMounts=[
            {"name": "cm", "mountPath": "/cm"},
            {"name": "dp", "mountPath": "/dp"},
            {"name": "e", "mountPath": "/usr/share/html"},
        ],
    )
    labels = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    volumes = [
        {"name": "cm", "configMap": {"name": "cm"}},
        {"name": "dp", "downwardAPI": labels},
        {"name": "e", "emptyDir": {}},
    ]
    await node.create("env", container, volumes=volumes)
    address = (await node.until_ready("env"))["status"]["podIP"]
    await node.until(lambda: node.container("env").get("started"))

    async def whole_log() -> str:
        log = await node.log("env")
        return log if log.count("\n") == 4 else ""

    log = await node.eventually(whole_log)
    assert log.splitlines() == [f"a-b w v {address} env", "text", "/srv/app", 'app="env"']
    assert (await node.execute("env", "ls", "/usr/share/html")).out == b"x\n"

    await node.client.patch(CONFIG_MAP, "cm", "default", body={"data": {"f": "changed"}})

    async def changed() -> bool:
        return (await node.execute("env", "cat", "/cm/f")).out == b"changed"

    await node.eventually(changed)


async def test_a_crash_is_restarted_at_once_and_then_after_a_while(node: Node) -> None:
    await node.create("crash", shell("echo attempt; echo why > /dev/termination-log; exit 3"))

    def waiting() -> str:
        return str(node.container("crash").get("state", {}).get("waiting", {}).get("reason"))

    await node.until(lambda: waiting() == "CrashLoopBackOff")
    container = node.container("crash")
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert container["lastState"]["terminated"]["message"] == "why\n"
    assert container["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=c pod=crash_default("
    )
    assert node.status("crash")["phase"] == "Running"
    assert await node.log("crash", previous=True) == "attempt\n"
    uid = node.pod("crash")["metadata"]["uid"]
    await node.until_event("crash", "BackOff", f"Back-off restarting failed container c in pod crash_default({uid})")


async def test_init_containers_run_in_order_and_a_pod_can_end(node: Node) -> None:
    init = [{"name": name, "image": "b", "command": ["sh", "-c", f"echo {name} >> /v/x"]} for name in ("one", "two")]
    mount = [{"name": "v", "mountPath": "/v"}]
    for container in init:
        container["volumeMounts"] = mount
    main = shell("cat /v/x", volumeMounts=mount)
    await node.create("job", main, initContainers=init, restartPolicy="Never", volumes=[{"name": "v", "emptyDir": {}}])
    await node.until(lambda: node.status("job").get("phase") == "Succeeded")
    assert await node.log("job") == "one\ntwo\n"
    conditions = {c["type"]: c.get("reason") for c in node.status("job")["conditions"]}
    assert conditions["Ready"] == "PodCompleted"


async def test_a_failed_pod_says_with_which_status(node: Node) -> None:
    await node.create("failed", shell("exit 4"), restartPolicy="Never")
    await node.until(lambda: node.status("failed").get("phase") == "Failed")
    assert node.container("failed")["state"]["terminated"]["exitCode"] == 4


async def test_a_stand_in_has_the_programs_of_busybox_that_the_host_lacks(node: Node) -> None:
    lacking = [name for name in sorted(applets.applets()) if shutil.which(name, path=DEFAULT_PATH) is None]
    if not lacking:
        pytest.skip("there is no busybox, or the host has all of its programs")
    await node.create("tools", shell(f"command -v {lacking[0]}; ls -L $(command -v {lacking[0]})"))
    found = f"/.netsim/bin/{lacking[0]}"

    async def said() -> bool:
        return (await node.log("tools")).split() == [found, found]

    await node.until(lambda: node.container("tools").get("containerID"), "a container")
    await node.eventually(said)
    await node.delete("tools")


async def test_a_guaranteed_pod_is_spared_as_far_as_the_machine_allows(node: Node) -> None:
    quantities = {"cpu": "100m", "memory": "64Mi"}
    await node.create("spared", shell("sleep 60", resources={"requests": quantities, "limits": quantities}))
    await node.until_ready("spared")
    assert node.status("spared")["qosClass"] == "Guaranteed"
    assert node.container("spared")["restartCount"] == 0
    ran = await node.execute("spared", "cat", "/proc/1/oom_score_adj", "/proc/self/oom_score_adj")
    assert ran.out.decode().split() == [str(-997 if _may_lower_oom_score() else own_oom_score())] * 2


def _may_lower_oom_score() -> bool:
    script = "echo -997 > /proc/self/oom_score_adj"
    return subprocess.run(["sh", "-c", script], capture_output=True, check=False).returncode == 0


async def test_a_program_that_is_not_there_is_a_start_error(node: Node) -> None:
    await node.create("none", {"name": "c", "image": "x", "command": ["no-such-program"]}, restartPolicy="Never")
    await node.until(lambda: node.status("none").get("phase") == "Failed")
    terminated = node.container("none")["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (128, "StartError")
    assert "no-such-program" in terminated["message"]


async def test_a_wrong_image_name_waits(node: Node) -> None:
    await node.create("bad", {"name": "c", "image": "A:::b"})
    await node.until(
        lambda: node.container("bad").get("state", {}).get("waiting", {}).get("reason") == "InvalidImageName"
    )
    await node.until_event("bad", "Failed", "Error: InvalidImageName")


async def test_an_unknown_volume_keeps_the_pod_waiting_and_says_so(node: Node) -> None:
    await node.create("vol", SERVER, volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}])
    await node.until(lambda: node.informers.of(POD).get("vol", "default"))

    async def message() -> str:
        return dict(await node.events("vol")).get("FailedMount", "")

    assert 'volume "v"' in await node.eventually(message)
    assert not node.ready("vol")


ONCE = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 30}
"""One failure counts; that it took longer than the usual second, as on a busy machine, is none."""


async def test_probes_hold_back_and_restart(node: Node) -> None:
    container = {
        **SERVER,
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, **ONCE},
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}, **ONCE},
    }
    await node.create("probed", container)
    await node.until(lambda: node.container("probed").get("started"))
    assert not node.ready("probed")
    await node.execute("probed", "touch", "/tmp/ready")
    await node.until_ready("probed")
    assert node.container("probed")["restartCount"] == 0
    await node.execute("probed", "rm", "/tmp/ready")
    await node.until(lambda: not node.ready("probed"))


async def test_a_failing_liveness_probe_restarts_the_container(node: Node) -> None:
    probe = {"exec": {"command": ["sh", "-c", "test ! -e /tmp/dead"]}, **ONCE}
    await node.create("live", {**SERVER, "livenessProbe": probe})
    await node.until_ready("live")
    await node.execute("live", "touch", "/tmp/dead")
    await node.until(lambda: node.container("live").get("restartCount") == 1)
    await node.until_event("live", "Killing", "Container c failed liveness probe, will be restarted")


async def test_hooks_run_and_a_deaf_program_is_killed_after_its_grace(node: Node) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > /proc/1/fd/1"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > /proc/1/fd/1"]}},
    }
    await node.create(
        "deaf", shell("trap '' TERM; while :; do sleep 1; done", lifecycle=hooks), terminationGracePeriodSeconds=1
    )
    await node.until_ready("deaf")
    assert await node.log("deaf") == "started\n"
    log: list[str] = []

    async def follow() -> None:
        log.append(await node.log("deaf", follow=True))

    following = asyncio.create_task(follow())
    began = time.monotonic()
    await node.delete("deaf")
    assert 0.9 < time.monotonic() - began < 25, "its own grace, not the usual one"
    await following
    assert log == ["started\nstopping\n"]


async def test_host_network_uses_the_nodes(node: Node) -> None:
    await node.create("host", shell("ip -o link; hostname; exec sleep 99"), hostNetwork=True)
    pod = await node.until_ready("host")
    assert pod["status"]["podIP"] == "10.128.0.11"

    async def whole_log() -> str:
        log = await node.log("host")
        return log if "node-1" in log else ""

    assert "lo:" in await node.eventually(whole_log)


async def test_another_image_restarts_the_container(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    body = {"spec": {"containers": [{"name": "c", "image": "nginx:1.26"}]}}
    await node.client.patch(POD, "web", "default", body=body, patch_type="strategic")
    await node.until(lambda: node.container("web").get("restartCount") == 1 and node.ready("web"))
    assert node.container("web")["image"] == "nginx:1.26"
    await node.until_event("web", "Killing", "Container c definition changed, will be restarted")


async def test_a_stand_in_whose_port_is_taken_ends(node: Node) -> None:
    ports = [{"containerPort": 80}]
    first, second = ({"name": name, "image": "nginx:1.25", "ports": ports} for name in ("a", "b"))
    await node.create("pair", first, second)

    def waiting() -> str:
        return str(node.container("pair", 1).get("state", {}).get("waiting", {}).get("reason"))

    await node.until(lambda: waiting() == "CrashLoopBackOff")
    assert node.container("pair", 1)["lastState"]["terminated"]["exitCode"] == 1
    assert node.container("pair", 0)["ready"]


async def test_the_links_of_pods_go_with_their_namespaces(node: Node) -> None:
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        await node.create(name, SERVER)
    for name in names:
        await node.until_ready(name)
    assert len(await node.ports()) == len(names)
    for name in names:
        await node.client.delete(POD, name, "default", grace_period_seconds=0)

    async def gone() -> bool:
        return not await node.ports()

    await node.eventually(gone)


async def test_a_pod_past_its_deadline_is_ended(node: Node) -> None:
    await node.create("late", shell("trap 'exit 0' TERM; echo trapped; sleep 60 & wait"))
    await node.until_ready("late")
    await node.eventually(lambda: node.log("late"))
    # Only now: on a busy machine its start takes a while too.
    await node.client.patch(POD, "late", "default", body={"spec": {"activeDeadlineSeconds": 1}})
    await node.until(lambda: node.status("late").get("phase") == "Failed")
    message = "Pod was active on the node longer than the specified deadline"
    assert (node.status("late")["reason"], node.status("late")["message"]) == ("DeadlineExceeded", message)
    assert node.container("late")["state"]["terminated"]["exitCode"] == 0
    assert not node.ready("late")
    await node.until_event("late", "DeadlineExceeded", message)

    async def released() -> bool:
        return not await node.ports()

    await node.eventually(released)
    await node.kill()
    node.start()
    await node.delete("late")
    await node.until(lambda: not sandbox_files(node))


async def test_a_pod_that_ended_before_its_deadline_stays_as_it_is(node: Node) -> None:
    await node.create("done", shell("exit 0"), restartPolicy="Never")
    await node.until(lambda: node.status("done").get("phase") == "Succeeded")
    before = node.status("done")
    await node.client.patch(POD, "done", "default", body={"spec": {"activeDeadlineSeconds": 1}})
    await asyncio.sleep(1.2)
    await node.client.patch(POD, "done", "default", body={"metadata": {"labels": {"look": "again"}}})
    await node.until(lambda: node.pod("done")["metadata"]["labels"].get("look"))
    assert node.status("done") == before
    await node.delete("done")


async def test_a_pod_that_fills_its_volume_is_evicted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.node.limits.MEASURE_SECONDS", 0.1)
    script = "head -c 3000000 /dev/zero > /small/file; sleep 60"
    mounts = [{"name": "small", "mountPath": "/small"}, {"name": "large", "mountPath": "/large"}]
    small = {"name": "small", "emptyDir": {"sizeLimit": "1Mi"}}
    large = {"name": "large", "emptyDir": {"sizeLimit": "1Gi"}}
    await node.create(
        "full", shell(script, volumeMounts=mounts), volumes=[small, large], terminationGracePeriodSeconds=1
    )
    await node.until(lambda: node.status("full").get("phase") == "Failed")
    assert node.status("full")["reason"] == "Evicted"
    message = 'Usage of EmptyDir volume "small" exceeds the limit "1Mi". '
    assert node.status("full")["message"] == message
    await node.until_event("full", "Evicted", message)


async def test_host_ipc_shares_the_hosts(node: Node) -> None:
    await node.create("shared", SERVER, hostIPC=True)
    await node.create("own", SERVER)
    host = os.readlink("/proc/self/ns/ipc").encode()
    for name, same in (("shared", True), ("own", False)):
        await node.until_ready(name)
        ran = await node.execute(name, "readlink", "/proc/self/ns/ipc")
        assert (ran.out.strip() == host) is same


async def test_a_grpc_probe_of_another_protocol_fails_with_what_is_wrong(node: Node) -> None:
    await node.create("web", {**SERVER, "readinessProbe": {"grpc": {"port": 80, "service": ""}, "periodSeconds": 1}})

    async def message() -> str:
        return dict(await node.events("web")).get("Unhealthy", "")

    assert "HTTP/2" in await node.eventually(message)
    assert not node.ready("web")
