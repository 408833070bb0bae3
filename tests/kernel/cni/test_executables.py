"""Our plugins as anyone else's runtime sees them, and upstream's under our runtime."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cni.errors import Code, PluginFailed
from cni.install import ensure_executables
from cni.runtime import Attachment, Runtime
from netsim import namespace
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path
from tests.kernel import world
from tests.kernel.cni.test_attach import conflist

UPSTREAM = Path("/usr/lib/cni")


@pytest.fixture
def pod(cluster: str) -> Iterator[str]:
    name = f"{cluster}-pod"
    namespace.create_namespace(name, Mark(cluster, "pod", "pod"))
    yield name
    namespace.delete_namespace(name)


class Caller:
    """Calls an executable as the spec says."""

    def __init__(self, directory: Path, node: str, pod: str, config: dict[str, Any]) -> None:
        self.directory, self.node, self.config = directory, node, config
        self.environment = {
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": str(namespace_path(pod)),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(directory),
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web",
        }

    def __call__(self, command: str, *, plugin: str = "bridge", stdin: str | None = None, **changes: str | None) -> Any:
        environment: dict[str, str | None] = {**os.environ, **self.environment, "CNI_COMMAND": command, **changes}
        done = subprocess.run(
            ["nsenter", f"--net={namespace_path(self.node)}", str(self.directory / plugin)],
            input=json.dumps(self.config) if stdin is None else stdin,
            env={name: value for name, value in environment.items() if value is not None},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        self.status, self.stderr = done.returncode, done.stderr
        return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def call(netns: str, pod: str, tmp_path: Path) -> Caller:
    ensure_executables(tmp_path / "bin")
    listed = conflist(tmp_path / "ipam")
    return Caller(tmp_path / "bin", netns, pod, {**listed["plugins"][0], "name": "net", "cniVersion": "1.1.0"})


def test_add_ping_check_delete_delete_again(call: Caller, netns: str, pod: str, tmp_path: Path) -> None:
    result = call("ADD")
    assert call.status == 0, (result, call.stderr)
    assert result["cniVersion"] == "1.1.0"
    assert result["ips"] == [{"address": "10.44.1.2/24", "gateway": "10.44.1.1", "interface": 2}]
    assert [each["name"] for each in result["interfaces"]][::2] == ["cbr0", "eth0"]
    assert world.ping("10.44.1.2", netns=netns)
    call.config["prevResult"] = result
    assert call("CHECK") is None
    assert call.status == 0
    world.run("ip", "address", "flush", "dev", "eth0", netns=pod)
    assert call("CHECK")["code"] == Code.CHECK_FAILED
    for _ in range(2):
        assert call("DEL") is None
        assert call.status == 0
    assert "veth" not in world.run("ip", "-o", "link", netns=netns)
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]


def test_an_old_version_gets_its_own_form(call: Caller) -> None:
    call.config["cniVersion"] = "0.3.1"
    assert call("ADD")["ips"][0]["version"] == "4"


def test_version_status_and_gc(call: Caller, tmp_path: Path) -> None:
    assert call("VERSION")["supportedVersions"] == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    assert call("STATUS") is None
    assert call.status == 0
    call("ADD")
    call.config["cni.dev/valid-attachments"] = []
    assert call("GC") is None
    assert not (tmp_path / "ipam" / "net" / "10.44.1.2").exists()


def test_host_local_alone(call: Caller) -> None:
    result = call("ADD", plugin="host-local")
    assert result["ips"] == [{"address": "10.44.1.2/24", "gateway": "10.44.1.1"}]
    assert call("DEL", plugin="host-local") is None


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"CNI_CONTAINERID": None}, Code.INVALID_ENVIRONMENT, "CNI_CONTAINERID"),
        ({"CNI_CONTAINERID": "../x"}, Code.INVALID_ENVIRONMENT, "CNI_CONTAINERID"),
        ({"CNI_IFNAME": "a/b"}, Code.INVALID_ENVIRONMENT, "CNI_IFNAME"),
        ({"CNI_NETNS": "/run/netns/none"}, Code.INVALID_ENVIRONMENT, "CNI_NETNS"),
        ({"CNI_ARGS": "nonsense"}, Code.INVALID_ENVIRONMENT, "CNI_ARGS"),
        ({"stdin": "{"}, Code.DECODE_FAILURE, "network configuration"),
        ({"stdin": "[]"}, Code.DECODE_FAILURE, "network configuration"),
        ({"stdin": '{"cniVersion": "3.0.0"}'}, Code.INCOMPATIBLE_VERSION, "3.0.0"),
        ({"stdin": '{"cniVersion": "1.1.0", "name": "n", "mtu": 3}'}, Code.INVALID_CONFIG, "mtu"),
        ({"stdin": '{"cniVersion": "1.1.0", "name": "n", "vlan": 3}'}, Code.UNSUPPORTED_FIELD, "vlan"),
    ],
)
def test_errors_are_the_specs_objects(call: Caller, changes: dict[str, Any], code: Code, named: str) -> None:
    answer = call("ADD", **changes)
    assert call.status == 1
    assert (answer["code"], call.stderr) == (code, "")
    assert named in answer["msg"]


def test_an_unknown_command_is_refused(call: Caller) -> None:
    assert call("FROB")["code"] == Code.INVALID_ENVIRONMENT


def test_our_runtime_runs_our_executables_too(netns: str, pod: str, tmp_path: Path) -> None:
    ensure_executables(tmp_path / "bin")
    configuration = conflist(tmp_path / "ipam", **{"netsim.execute": True})
    _attach_and_detach(configuration, tmp_path / "bin", netns, pod, tmp_path)


@pytest.mark.skipif(not (UPSTREAM / "bridge").exists(), reason="needs Debian's containernetworking-plugins")
def test_upstreams_plugins_run_by_changing_the_list_alone(netns: str, pod: str, tmp_path: Path) -> None:
    configuration = conflist(tmp_path / "ipam", **{"netsim.execute": True})
    configuration["cniVersion"] = "1.0.0"
    _attach_and_detach(configuration, UPSTREAM, netns, pod, tmp_path)


@pytest.mark.skipif(not (UPSTREAM / "bridge").exists(), reason="needs Debian's containernetworking-plugins")
def test_upstreams_error_is_passed_on(netns: str, pod: str, tmp_path: Path) -> None:
    configuration = conflist(tmp_path / "ipam", subnet="nonsense", **{"netsim.execute": True})
    configuration["cniVersion"] = "1.0.0"
    runtime = Runtime(configuration, [UPSTREAM], tmp_path / "cache")
    executor = NamespaceExecutor(namespace_path(netns), "node")
    with pytest.raises(PluginFailed, match=r"plugin bridge: .*nonsense"):
        executor.submit(runtime.add, Attachment("c1", str(namespace_path(pod)))).result(30)
    executor.close()


def test_a_plugin_that_is_nowhere_is_named_with_where_it_was_looked_for(netns: str, pod: str, tmp_path: Path) -> None:
    runtime = Runtime(
        {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "frob"}]}, [tmp_path], tmp_path / "cache"
    )
    with pytest.raises(PluginFailed, match=rf"frob.*{tmp_path}"):
        runtime.add(Attachment("c1", str(namespace_path(pod))))


def _attach_and_detach(configuration: dict[str, Any], directory: Path, node: str, pod: str, tmp_path: Path) -> None:
    runtime = Runtime(configuration, [directory], tmp_path / "cache")
    executor = NamespaceExecutor(namespace_path(node), "node")
    wanted = Attachment("c1", str(namespace_path(pod)))
    try:
        result = executor.submit(runtime.add, wanted).result(30)
        assert result.ips[0].address == "10.44.1.2/24"
        assert world.ping("10.44.1.2", netns=node)
        executor.submit(runtime.check, wanted).result(30)
        for _ in range(2):
            executor.submit(runtime.delete, wanted).result(30)
        assert "veth" not in world.run("ip", "-o", "link", netns=node)
        assert not (tmp_path / "ipam" / "net" / "10.44.1.2").exists()
    finally:
        executor.close()
        runtime.close()
