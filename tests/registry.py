"""A real image registry on loopback: Debian's docker-registry, unpacked by `make setup`, with or without a password."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.archives import skopeo_copy

PROGRAM = Path(__file__).parent.parent / ".venv/debian/usr/bin/docker-registry"
USER, PASSWORD = "alice", "secret"
_BCRYPT = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Registry:
    """`host` is "127.0.0.1:PORT"."""

    host: str

    def push(self, archive: Path, name: str, *options: str) -> str:
        """Pushes the image of a docker archive as HOST/NAME, which is returned."""
        target = f"{self.host}/{name}"
        source = f"docker-archive:{archive}:@0"
        skopeo_copy(source, f"docker://{target}", archive.parent, "--dest-tls-verify=false", *options)
        return target

    def credentials(self) -> str:
        """The content of a ~/.docker/config.json that lets its user in."""
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return json.dumps({"auths": {self.host: {"auth": word}}})


@contextmanager
def running_registry(directory: Path, *, private: bool = False) -> Iterator[Registry]:
    """A registry that keeps its data in `directory`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    lines = ["version: 0.1", "log: {level: error}", "storage:", f"  filesystem: {{rootdir: {directory}/data}}"]
    lines += ["http:", f"  addr: {host}"]
    if private:
        (directory / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
        lines += ["auth:", f"  htpasswd: {{realm: test, path: {directory}/htpasswd}}"]
    config = directory / "config.yml"
    config.write_text("\n".join(lines) + "\n")
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(config)], stdout=log, stderr=log, env={"OTEL_TRACES_EXPORTER": "none"}
        )
    try:
        _await(host, process)
        yield Registry(host)
    finally:
        process.kill()
        process.wait()


def _await(host: str, process: subprocess.Popen[bytes]) -> None:
    address, _, port = host.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((address, int(port)), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the registry at {host} does not answer")
