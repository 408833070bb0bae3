"""Images that tests make: layers as tar files, put together as `docker save` would."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controlplane.node.images.programs import Programs

BUSYBOX = Path("/bin/busybox")


def file(name: str, data: bytes = b"", mode: int = 0o644, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a layer; `more` sets fields of the TarInfo, such as uid, type, linkname."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def directory(name: str, mode: int = 0o755, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, mode=mode, type=tarfile.DIRTYPE, **more)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, type=kind, linkname=target)


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer, uncompressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def busybox_layer(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer with a static busybox, its shell, and accounts: alice is 1000:1001 and in group 1002 too."""
    return layer(
        directory("bin"),
        file("bin/busybox", BUSYBOX.read_bytes(), 0o755),
        *(
            link(f"bin/{name}", "busybox")
            for name in ("sh", "id", "sleep", "cat", "ls", "httpd", "env", "pwd", "touch")
        ),
        directory("etc"),
        file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n"),
        file("etc/group", b"root:x:0:\nalice:x:1001:\nwheel:x:1002:alice\n"),
        directory("tmp", 0o1777),
        *more,
    )


def save(
    path: Path,
    names: Iterable[str],
    layers: Iterable[bytes],
    config: Mapping[str, Any] | None = None,
    *,
    compression: str = "",
) -> Path:
    """Writes a docker archive with one image."""
    contents = list(layers)
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in contents]},
    }
    members = [file("config.json", json.dumps(document).encode())]
    members += [file(f"layer-{number}.tar", content) for number, content in enumerate(contents)]
    manifest = {
        "Config": "config.json",
        "RepoTags": list(names),
        "Layers": [f"layer-{number}.tar" for number in range(len(contents))],
    }
    members.append(file("manifest.json", json.dumps([manifest]).encode()))
    with tarfile.open(path, f"w:{compression}") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def skopeo_copy(source: str, target: str, scratch: Path, *options: str) -> None:
    """Copies an image by skopeo, which leaves nothing on this host but in `scratch`."""
    Programs().run("skopeo", "--insecure-policy", "copy", *options, source, target, scratch=scratch)
