"""Our plugins under an independent caller: podman with its CNI backend runs a container on them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cni.install import ensure_executables
from netsim import firewall
from netsim.namespace import NamespaceExecutor
from tests.conftest import Eventually
from tests.kernel import world
from tests.kernel.cni.test_attach import conflist, node

__all__ = ["node"]

Podman = Callable[..., str]

CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "{networks}"
"""


def reason_to_skip() -> str:
    if shutil.which("podman") is None:
        return "there is no podman here"
    if shutil.which("crun") is None:
        return "podman without cgroups needs crun, which is not here"
    major = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    if int(major.split(".")[0]) >= 5:
        return f"podman {major} has no CNI backend any more"
    return ""


REASON = reason_to_skip()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "-")


@pytest.fixture
def podman(netns: str, tmp_path: Path) -> Iterator[Podman]:
    """Runs podman in the node's namespace, with all that it keeps out of the host's sight.

    Its mount namespace is its own: podman writes below /var/lib whatever it is told, and crun wants one kind of
    cgroups.
    """
    networks, programs = tmp_path / "networks", tmp_path / "rootfs" / "bin"
    networks.mkdir()
    programs.mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", programs)
    ensure_executables(tmp_path / "plugins")
    (tmp_path / "containers.conf").write_text(
        CONFIGURATION.format(runtime="crun", plugins=tmp_path / "plugins", networks=networks)
    )
    listed = conflist(tmp_path / "ipam", ipMasq=True)
    listed["plugins"].append({"type": "portmap", "capabilities": {"portMappings": True}})
    (networks / "87-net.conflist").write_text(json.dumps(listed | {"cniVersion": "1.0.0"}))
    own_mounts = "mount -t tmpfs none /var/lib; umount /sys/fs/cgroup/unified 2>/dev/null; echo ready; exec sleep 300"
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", own_mounts], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    # These paths may not be long.
    places = ["--root", "/var/lib/p/root", "--runroot", "/var/lib/p/run", "--tmpdir", "/var/lib/p/tmp"]

    def run(*arguments: str) -> str:
        inside = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", f"--net=/run/netns/{netns}"]
        settings = ["env", f"CONTAINERS_CONF={tmp_path / 'containers.conf'}"]
        argv = [*inside, *settings, "podman", *places, "--storage-driver", "vfs", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()


async def test_podman_runs_a_container_on_our_plugins(
    podman: Podman, node: NamespaceExecutor, netns: str, tmp_path: Path, eventually: Eventually
) -> None:
    network = ["--cgroups=disabled", "--network", "net", "--publish", "8080:80"]
    root = ["--rootfs", str(tmp_path / "rootfs"), "/bin/busybox"]
    shown = podman("run", "--rm", *network, *root, "ip", "addr", "show", "eth0")
    assert "inet 10.44.1.2/24" in shown
    assert "mtu 1460" in shown
    name = podman("run", "--detach", *network, *root, "nc", "-l", "-p", "80", "-e", "/bin/busybox", "echo", "hello")
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo", netns=netns)
    assert world.ping("10.44.1.3", netns=netns)
    # It listens a moment after podman has returned.
    assert eventually(lambda: world.run("busybox", "nc", "192.0.2.1", "8080", netns=netns)) == "hello\n"
    podman("rm", "--force", "--time", "0", name.strip())
    assert not world.ping("10.44.1.3", netns=netns)
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]
    rules = await node.run(firewall.save, "nat")
    assert "CNI-DN-" not in rules
    assert "10.44.1.3" not in rules
