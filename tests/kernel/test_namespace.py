import os
import subprocess
import threading
from pathlib import Path

import pytest

from netsim import namespace, pins, syscalls
from netsim.errors import AlreadyExists, NotFound
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path


def _own_namespaces() -> list[str]:
    return [os.readlink(f"/proc/thread-self/ns/{word}") for word in ("net", "uts", "ipc")]


def test_ip_netns_lists_it_and_executes_in_it(netns: str) -> None:
    assert netns in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    done = subprocess.run(
        ["ip", "netns", "exec", netns, "ip", "-br", "link"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("lo ")
    assert "UP" in done.stdout


def test_ip_netns_sees_what_ip_netns_made_itself_beside_ours(netns: str, cluster: str) -> None:
    other = f"{cluster}-theirs"
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        assert namespace.find_mark(other) is None
        assert namespace.find_mark(netns) == Mark(cluster, "node", "ns")
    finally:
        subprocess.run(["ip", "netns", "delete", other], check=True)


def test_the_caller_is_back_where_it_was(cluster: str, tmp_path: Path) -> None:
    before = _own_namespaces()
    name = f"{cluster}-pod"
    try:
        pinned = namespace.create_namespace(
            name, Mark(cluster, "pod", "pod"), pin_dir=tmp_path / "pins", hostname="web-1"
        )
        assert _own_namespaces() == before
        assert pinned.uts is not None
        inside = subprocess.run(
            ["nsenter", f"--net={pinned.net}", f"--uts={pinned.uts}", f"--ipc={pinned.ipc}", "hostname"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert inside.stdout.strip() == "web-1"
    finally:
        namespace.delete_namespace(name, pin_dir=tmp_path / "pins")
    assert not list((tmp_path / "pins").iterdir())
    assert not namespace_path(name).exists()


def test_creating_twice_fails_and_ensuring_twice_does_not(netns: str, cluster: str) -> None:
    mark = Mark(cluster, "node", "ns")
    with pytest.raises(AlreadyExists):
        namespace.create_namespace(netns, mark)
    before = os.stat(namespace_path(netns)).st_ino
    namespace.ensure_namespace(netns, mark)
    assert os.stat(namespace_path(netns)).st_ino == before
    with pytest.raises(AlreadyExists, match="another owner"):
        namespace.ensure_namespace(netns, Mark(cluster, "pod", "other"))


def test_the_file_under_the_pin_is_marked_too(netns: str, cluster: str) -> None:
    syscalls.unmount(str(namespace_path(netns)))
    assert Mark.parse(pins.read_file_mark(namespace_path(netns))) == Mark(cluster, "node", "ns")


def test_a_file_left_by_a_kill_before_the_pin_is_used(cluster: str) -> None:
    name = f"{cluster}-stale"
    pins.ensure_netns_directory()
    namespace_path(name).touch()
    try:
        assert not namespace.exists(name)
        namespace.create_namespace(name, Mark(cluster, "node", "stale"))
        assert namespace.exists(name)
    finally:
        namespace.delete_namespace(name)
    namespace.delete_namespace(name)


def test_the_pin_is_seen_in_a_mount_namespace_made_earlier(cluster: str) -> None:
    """Container runtimes work in one: a pin that is made later has to propagate into it."""
    pins.ensure_netns_directory()
    entered, go, seen = threading.Event(), threading.Event(), []

    def look() -> None:
        syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        entered.set()
        go.wait(60)
        seen.append(namespace.exists(f"{cluster}-late"))

    looker = threading.Thread(target=look)
    looker.start()
    assert entered.wait(60)
    namespace.create_namespace(f"{cluster}-late", Mark(cluster, "node", "late"))
    try:
        go.set()
        looker.join(60)
        assert seen == [True]
    finally:
        namespace.delete_namespace(f"{cluster}-late")


async def test_an_executor_lives_inside(netns: str) -> None:
    executor = NamespaceExecutor(namespace_path(netns), "inside")
    try:
        inode = await executor.run(lambda: os.stat("/proc/thread-self/ns/net").st_ino)
        assert inode == os.stat(namespace_path(netns)).st_ino
        assert await executor.run(lambda: threading.current_thread().name) == "inside_0"
        child = await executor.run(subprocess.run, ["ip", "-br", "link"], capture_output=True, text=True)
        assert len(child.stdout.splitlines()) == 1
        assert await executor.run(executor.netlink) is await executor.run(executor.netlink)
    finally:
        executor.close()
        executor.close()


async def test_an_executor_of_a_missing_namespace_says_so_and_tries_again(cluster: str) -> None:
    name = f"{cluster}-later"
    executor = NamespaceExecutor(namespace_path(name), "later")
    try:
        with pytest.raises(NotFound, match=name):
            await executor.run(os.getpid)
        namespace.create_namespace(name, Mark(cluster, "node", "later"))
        assert await executor.run(os.getpid) == os.getpid()
    finally:
        executor.close()
        namespace.delete_namespace(name)
