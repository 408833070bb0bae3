"""Stand-ins: what runs when an image is not on this machine.

With a `command` in the manifest the container gets the host's own programs: a private root, writable, whose
/usr is the host's, read-only, or under an overlay where a volume is mounted into it. What the host lacks and its
busybox has, such as nslookup, is found last in PATH. Without a command a small static server (`standin/server.c`) is
what runs. Of the host nothing but /usr, the linker's cache, the alternatives and the certificates is visible.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.errors import NodeError
from controlplane.node.images import applets
from controlplane.node.images.overlay import overlay_works
from controlplane.node.images.store import Image, RootFilesystem
from controlplane.node.runtime.oci import DEFAULT_PATH, Mount
from netsim import programs
from netsim.errors import NetsimError

SOURCE = Path(__file__).parent.parent / "standin" / "server.c"
SERVER = "/.netsim/server"
RUN = "/.netsim/run"
CONFIG = f"{RUN}/config"
PAUSE = "/pause"
"""The same program by another name: it does nothing but reap, as the first process of a pod."""
APPLETS = "/.netsim/bin"
"""Links to the host's busybox, one for each of its programs."""
READY = f"{RUN}/ready"
"""A fifo into which the server writes once all its ports are open."""
DEFAULT_PORTS = (80, 8080)

_DIRECTORIES = (
    *("dev", "etc", "home", "media", "mnt", "opt", "proc", "run", "run/lock", "srv", "sys", "usr"),
    *("var", "var/cache", "var/lib", "var/log", "var/spool"),
)
STANDARD_DIRECTORIES = frozenset({"", "root", "tmp", "var/tmp", *_DIRECTORIES})
_LINKS = {
    "var/run": "/run",
    "var/lock": "/run/lock",
    "pause": SERVER,
    "etc/mtab": "/proc/self/mounts",
    "etc/os-release": "../usr/lib/os-release",
}
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SHARED = ("/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache")
_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    # GNU's wget tries twenty times, so that `wget -T 2` of a denied address takes minutes; busybox's tries once.
    "etc/wgetrc": "tries = 1\n",
    "etc/services": "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\nssh 22/tcp\n",
    "etc/protocols": "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n",
}


@dataclass(frozen=True, slots=True)
class StandInConfig:
    """What the server answers with, and where it listens; `maybe` are ports that another may hold."""

    image: str
    pod: str
    namespace: str
    node: str
    address: str
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    maybe: tuple[int, ...] = ()

    def text(self) -> str:
        """The server's configuration file."""
        words: Iterable[tuple[str, object]] = (
            ("image", self.image),
            ("pod", self.pod),
            ("namespace", self.namespace),
            ("node", self.node),
            ("address", self.address),
            *(("tcp", port) for port in self.tcp),
            *(("udp", port) for port in self.udp),
            *(("maybe", port) for port in self.maybe),
        )
        return "".join(f"{word} {value}\n" for word, value in words)


def control_directory(bundle: Path) -> Path:
    """Where a container's server finds its configuration."""
    return bundle / "standin"


def write_config(bundle: Path, config: StandInConfig) -> bool:
    """Writes the server's configuration; False when that is what it says already."""
    path, text = control_directory(bundle) / "config", config.text()
    if path.exists() and path.read_text() == text:
        return False
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)
    return True


class StandIn:
    """The image source of last resort: it has every image. `cache` holds the compiled server."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def find(self, reference: str) -> Image | None:
        return Image(
            reference=reference,
            id=f"standin://{reference}",
            pulled=(
                f'Container image "{reference}" is a stand-in: it is not on this machine, so a small server, or '
                "with a command this machine's own programs, runs in its place"
            ),
            command=(SERVER, CONFIG, READY),
            environment={"PATH": f"{DEFAULT_PATH}:{APPLETS}"},
            standin=True,
        )

    def accounts(self, image: Image) -> None:
        return None

    def unpack(self, image: Image, bundle: Path, data: Path, targets: Collection[str]) -> RootFilesystem:
        skeleton, root, control = self.skeleton(), bundle / "root", control_directory(bundle)
        os.mkdir(control)
        os.mkfifo(control / "ready")
        os.chmod(control / "ready", 0o666)
        mounts = [Mount(f"/{name}", f"/{name}", read_only=True) for name in _MERGED if _is_directory(f"/{name}")]
        mounts.append(Mount(str(control), RUN, read_only=True))
        if not overlay_works(data):
            shutil.copytree(skeleton, data / "root", symlinks=True)
            mounts.append(Mount("/usr", "/usr", read_only=True))
            return RootFilesystem(data / "root", data / "root", mounts=mounts)
        overlays = []
        if any(f"{target}/".startswith("/usr/") for target in targets):
            # Mount points have to be made in it, and that must not happen in the host's.
            overlays.append({"destination": "/usr", "type": "overlay", "source": "overlay", "options": _usr(data)})
        else:
            mounts.append(Mount("/usr", "/usr", read_only=True))
        for directory in (root, data / "upper", data / "work"):
            os.mkdir(directory)
        return RootFilesystem(
            root,
            data / "upper",
            overlay=f"lowerdir={skeleton},upperdir={data}/upper,workdir={data}/work",
            overlays=overlays,
            mounts=mounts,
        )

    def skeleton(self) -> Path:
        """The directory under every stand-in's root: links, a few files of /etc, and the compiled server.

        Made on first use. NodeError names the packages when there is no compiler.
        """
        return _skeleton(self._cache)


@functools.cache
def _skeleton(cache: Path) -> Path:
    source = SOURCE.read_bytes() + applets.SEARCHING.read_bytes()
    shared = [path for path in _SHARED if os.path.exists(path)]
    stamped = [*shared, busybox] if (busybox := applets.busybox()) else shared
    stamps = "".join(f"{path}{os.stat(path).st_mtime_ns}" for path in stamped)
    key = hashlib.sha256(source + stamps.encode() + repr((_FILES, _LINKS, _DIRECTORIES)).encode()).hexdigest()[:16]
    target = cache / f"standin-{key}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        root = Path(scratch) / "root"
        _populate(str(root))
        _compile(root / SERVER.lstrip("/"))
        for path in shared:
            _copy(Path(path), root / path.lstrip("/"))
        applets.link(root / APPLETS.lstrip("/"))
        with suppress(OSError):
            # If another process was faster, its skeleton is as good.
            root.rename(target)
    return target


def _compile(target: Path) -> None:
    try:
        programs.build(SOURCE, target, "-static", "-s")
    except NetsimError as error:
        raise NodeError(f"the stand-in server cannot be built: {error}") from error


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # Private keys of the host are not for containers.
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("private"))
    else:
        shutil.copy2(source, target)


def _populate(root: str) -> None:
    os.makedirs(f"{root}{RUN}")
    for name in _DIRECTORIES:
        os.mkdir(f"{root}/{name}")
    os.mkdir(f"{root}/root", 0o700)
    for name in ("tmp", "var/tmp"):
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", 0o1777)
    for name, target in (*_LINKS.items(), *_merged_links()):
        os.symlink(target, f"{root}/{name}")
    for name, text in _FILES.items():
        with open(f"{root}/{name}", "w") as file:
            file.write(text)


@functools.cache
def _merged_links() -> tuple[tuple[str, str], ...]:
    return tuple((name, os.readlink(f"/{name}")) for name in _MERGED if os.path.islink(f"/{name}"))


def _usr(data: Path) -> list[str]:
    for name in ("usr", "usr.work"):
        os.mkdir(data / name)
    return [f"lowerdir=/usr,upperdir={data}/usr,workdir={data}/usr.work"]


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
