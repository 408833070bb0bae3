import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsim import inventory, namespace, pins, syscalls
from netsim.errors import NotFound
from netsim.inventory import places
from netsim.mark import Mark
from netsim.namespace import namespace_path
from netsim.vpc import Vpc
from tests.conftest import Eventually
from tests.kernel import world

_PODS = 30
_CREATOR = """
import sys
from netsim.vpc import Vpc
from tests.kernel import world
plan = world.plan_of(sys.argv[1])
with Vpc(plan) as vpc:
    print("made", flush=True)
    vpc.ensure()
    for number in range(1, 60):
        vpc.ensure_node(world.node_of(plan, number))
"""

_CYCLER = """
import sys
from netsim import inventory, namespace
from netsim.mark import Mark
for _ in range(25):
    namespace.create_namespace(f"{sys.argv[1]}-x", Mark(sys.argv[1], "pod", "x"))
    inventory.clusters()
    inventory.remove(sys.argv[1])
"""
_REMOVER = """
import sys
from netsim import inventory
print("ready", flush=True)
inventory.remove(sys.argv[1])
"""


@pytest.fixture
def bystander(host: None, cluster: str) -> Iterator[subprocess.Popen[bytes]]:
    """Things of nobody's, or of another cluster's, that look alike."""
    other = f"{cluster}0"
    subprocess.run(["ip", "netns", "add", f"{cluster}-router"], check=True)
    namespace.create_namespace(f"{cluster}-node-9", Mark(other, "node", "node-9"))
    process = subprocess.Popen(["sleep", "600"], env={"NETSIM_CLUSTER": other})
    yield process
    process.kill()
    process.wait()
    subprocess.run(["ip", "netns", "delete", f"{cluster}-router"], check=True)
    namespace.delete_namespace(f"{cluster}-node-9")


def spread(cluster: str, pods: int) -> list[subprocess.Popen[bytes]]:
    """Namespaces, processes in them, in cgroups and by their environment, mounts and directories."""
    run_directory, state_directory = inventory.directories_of(cluster)
    started = []
    for number in range(pods):
        name = f"{cluster}-pod-{number}"
        pin_directory = run_directory / "sandboxes" / str(number)
        namespace.create_namespace(name, Mark(cluster, "pod", f"default/{number}"), pin_dir=pin_directory)
        with namespace.entered(namespace_path(name)):
            started.append(subprocess.Popen(["sleep", "600"]))
    started.append(subprocess.Popen(["sleep", "600"], env={"NETSIM_CLUSTER": cluster}))
    started.append(subprocess.Popen(["sleep", "600"]))
    for hierarchy in places.cgroup_hierarchies():
        group = hierarchy / "netsim" / cluster / "pod" / "container"
        group.mkdir(parents=True)
    (group / "cgroup.procs").write_text(str(started[-1].pid))
    volume = state_directory / "volumes" / "data"
    volume.mkdir(parents=True)
    syscalls.mount("tmpfs", str(volume), flags=0, filesystem="tmpfs")
    (volume / "file").write_text("x")
    return started


def _same(before: dict[str, str], after: dict[str, str]) -> bool:
    assert world.differences(before, after) == []
    return True


def reap(started: list[subprocess.Popen[bytes]]) -> list[int]:
    return [process.wait(timeout=60) for process in started]


def test_all_of_a_cluster_goes_and_nothing_else(host: None, cluster: str, bystander: subprocess.Popen[bytes]) -> None:
    before = world.host_state(cluster)
    started = spread(cluster, 3)
    found = inventory.find(cluster)
    assert {process.pid for process in started} == set(found.processes)
    assert len(found.namespaces) == 3
    assert cluster in inventory.clusters()

    told: list[tuple[str, int, int]] = []
    removed = inventory.remove(cluster, lambda text, done, total: told.append((text, done, total)))

    assert set(removed.describe()) == set(found.describe())
    assert reap(started) == [-signal.SIGKILL] * len(started)
    assert ("processes", len(started), len(started)) in told
    assert ("namespaces", 3, 3) in told
    assert not inventory.find(cluster)
    assert cluster not in inventory.clusters()
    assert bystander.poll() is None
    assert world.host_state(cluster) == before
    assert not inventory.remove(cluster), "a second time there is nothing"


def test_thirty_pods_go(cluster: str) -> None:
    started = spread(cluster, _PODS)
    assert inventory.remove(cluster)
    reap(started)
    assert not inventory.find(cluster)


def test_a_mount_into_others_files_is_taken_off_and_not_emptied(cluster: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    state_directory = inventory.directories_of(cluster)[1]
    for name in ("host-path", "deeper/in side"):
        target = state_directory / name
        target.mkdir(parents=True)
        syscalls.mount(str(precious), str(target), flags=syscalls.MS_BIND)
    assert len(inventory.find(cluster).mounts) == 2
    inventory.remove(cluster)
    assert not state_directory.exists()
    assert (precious / "file").read_text() == "x"


def test_a_pin_that_was_never_completed_is_found_by_its_mark(cluster: str) -> None:
    pins.ensure_netns_directory()
    with pytest.raises(NotFound):
        pins.pin("/proc/no-such-namespace", namespace_path(f"{cluster}-half"), Mark(cluster, "pod", "half").alias())
    assert [found.inode for found in inventory.find(cluster).namespaces] == [0]
    inventory.remove(cluster)
    assert not namespace_path(f"{cluster}-half").exists()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.045, 0.08, 0.15])
def test_killed_at_any_moment_of_creation_nothing_is_left(
    host: None, cluster: str, delay: float, eventually: Eventually
) -> None:
    before = world.host_state(cluster)
    creator = subprocess.Popen([sys.executable, "-c", _CREATOR, cluster], stdout=subprocess.PIPE, cwd=Path.cwd())
    with creator:
        assert creator.stdout is not None
        assert creator.stdout.readline() == b"made\n"
        time.sleep(delay)
        creator.kill()
    inventory.remove(cluster)
    assert not inventory.find(cluster)
    eventually(lambda: _same(before, world.host_state(cluster)), message="the host is as it was")


def test_clusters_come_and_go_at_once_and_spare_each_other(host: None, cluster: str) -> None:
    before = world.host_state(cluster)
    names = [f"{cluster}-{letter}" for letter in "abc"]
    running = [
        subprocess.Popen([sys.executable, "-c", _CYCLER, name], stderr=subprocess.PIPE, text=True, cwd=Path.cwd())
        for name in names
    ]
    ended = [(process.communicate(timeout=30)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * len(names)
    assert world.differences(before, world.host_state(cluster)) == []


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.03])
def test_a_removal_that_was_killed_is_finished_by_the_next(host: None, cluster: str, delay: float) -> None:
    before = world.host_state(cluster)
    plan = world.plan_of(cluster)
    with Vpc(plan) as vpc:
        vpc.ensure()
        vpc.ensure_node(world.node_of(plan, 1))
    started = spread(cluster, 5)
    remover = subprocess.Popen([sys.executable, "-c", _REMOVER, cluster], stdout=subprocess.PIPE, cwd=Path.cwd())
    with remover:
        assert remover.stdout is not None
        assert remover.stdout.readline() == b"ready\n"
        time.sleep(delay)
        remover.kill()
    inventory.remove(cluster)
    reap(started)
    assert not inventory.find(cluster)
    assert world.host_state(cluster) == before


def test_a_vpc_with_nodes_is_removed_without_a_plan(host: None, cluster: str) -> None:
    before = world.host_state(cluster)
    plan = world.plan_of(cluster)
    with Vpc(plan) as vpc:
        vpc.ensure()
        vpc.ensure_node(world.node_of(plan, 1))
    found = inventory.find(cluster)
    assert (len(found.namespaces), len(found.links), len(found.tables)) == (2, 1, 1)
    inventory.remove(cluster)
    assert world.host_state(cluster) == before


def test_the_shell_that_asks_is_spared(cluster: str) -> None:
    asking = (
        f"from netsim import inventory; inventory.remove({cluster!r}); print(inventory.find({cluster!r}).processes)"
    )
    environment = {**os.environ, "NETSIM_CLUSTER": cluster}
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{asking}"; echo alive'], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["()", "alive"], done.stderr
    assert not places.directories(cluster)


def test_the_disks_of_a_killed_daemon_are_detached(cluster: str) -> None:
    run, state = places.directories_of(cluster)
    mounting = f"""
import os
from pathlib import Path
from netsim.disks import Disks
from netsim.mountspace import MountSpace
run, disks = Path({str(run)!r}), Disks(Path({str(state / "volumes")!r}))
(run / "target").mkdir(parents=True)
for name in ("a", "b"):
    disks.ensure(name, 1 << 20)
disks.prepare("a", "ext4")
disks.attach("b")
MountSpace(run / "mounts" / "pin").enter()
disks.mount("a", run / "target")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", mounting], check=False)
    assert len(inventory.find(cluster).loops) == 2
    inventory.remove(cluster)
    assert not inventory.find(cluster)
