"""Startup, readiness and liveness probes of one container.

http, tcp and grpc go out from the node's namespace, exec into the container. One task per probe; what they find is
told to the worker, which acts. Where a container has just been started and its port is not open yet, the first
seconds are probed again at once instead of a whole period later: that is all that differs from the kubelet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from controlplane.api.types import Object
from controlplane.node import grpc_health
from netsim.errors import NetsimError
from netsim.namespace import NamespaceExecutor

ProbeKind = Literal["Startup", "Liveness", "Readiness"]
FIELDS: tuple[tuple[ProbeKind, str], ...] = (
    ("Startup", "startupProbe"),
    ("Liveness", "livenessProbe"),
    ("Readiness", "readinessProbe"),
)

EAGER_SECONDS = 3.0
EAGER_PERIOD = 0.05
USER_AGENT = "kube-probe/1.37"
BODY_BYTES = 10 * 1024

Execute = Callable[[list[str], float], Awaitable[tuple[int, str]]]
"""Runs a command in the container within so many seconds: exit status and output."""


class ProbeFailure(Exception):
    """What the event says after "Liveness probe failed: "."""


class ProbeSet:
    """The probes of one running container. `verdict(kind, healthy, message)` is called when a threshold is crossed,
    `unhealthy(kind, message)` at every failure."""

    def __init__(
        self,
        container: Object,
        address: str,
        executor: NamespaceExecutor,
        execute: Execute,
        verdict: Callable[[ProbeKind, bool, str], None],
        unhealthy: Callable[[ProbeKind, str], None],
    ) -> None:
        self._container = container
        self._address = address
        self._executor = executor
        self._execute = execute
        self._verdict = verdict
        self._unhealthy = unhealthy
        self._task: asyncio.Task[None] | None = None

    @property
    def kinds(self) -> set[ProbeKind]:
        """The probes that the manifest has."""
        return {kind for kind, name in FIELDS if self._container.get(name)}

    def start(self) -> None:
        """Begins probing, the startup probe first."""
        if self.kinds:
            name = f"probes-{self._container['name']}"
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def stop(self) -> None:
        """Ends all probing."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        startup = self._container.get("startupProbe")
        if startup and not await self._loop("Startup", startup, until_healthy=True):
            return
        async with asyncio.TaskGroup() as group:
            for kind, name in FIELDS[1:]:
                probe = self._container.get(name)
                if probe:
                    group.create_task(self._loop(kind, probe, until_healthy=False))

    async def _loop(self, kind: ProbeKind, probe: Object, *, until_healthy: bool) -> bool:
        await asyncio.sleep(probe.get("initialDelaySeconds") or 0)
        period, began = probe.get("periodSeconds") or 10, time.monotonic()
        limits = {True: probe.get("successThreshold") or 1, False: probe.get("failureThreshold") or 3}
        said: bool | None = None
        last, run = True, 0
        while True:
            message = await self._once(probe)
            healthy = message is None
            if not healthy and said is None and time.monotonic() - began < EAGER_SECONDS and "exec" not in probe:
                await asyncio.sleep(EAGER_PERIOD)
                continue
            run = run + 1 if healthy == last else 1
            last = healthy
            if message is not None:
                self._unhealthy(kind, message)
            if run >= limits[healthy] and said is not healthy:
                said = healthy
                self._verdict(kind, healthy, message or "")
                if until_healthy or (kind == "Liveness" and not healthy):
                    return healthy
            await asyncio.sleep(period)

    async def _once(self, probe: Object) -> str | None:
        limit = probe.get("timeoutSeconds") or 1
        try:
            async with asyncio.timeout(limit):
                await self._attempt(probe, limit)
        except ProbeFailure as failure:
            return str(failure)
        except TimeoutError:
            return f"command timed out after {limit}s" if "exec" in probe else f"timed out after {limit}s"
        except (OSError, ssl.SSLError) as error:
            return f"{self._target(probe)}: {error.strerror or error}"
        except (NetsimError, ValueError, LookupError, OverflowError) as error:
            # An answer that cannot be read, or a program that cannot be started, is no reason to stop probing.
            return str(error)
        return None

    async def _attempt(self, probe: Object, limit: float) -> None:
        if "exec" in probe:
            status, output = await self._execute(list(probe["exec"].get("command") or []), limit)
            if status:
                raise ProbeFailure(output.strip() or f"command ended with status {status}")
        elif "httpGet" in probe:
            await self._http(probe["httpGet"])
        elif "tcpSocket" in probe:
            _, writer = await self._connect(probe["tcpSocket"], None)
            writer.close()
        elif "grpc" in probe:
            await self._grpc(probe["grpc"])
        else:
            raise ProbeFailure("probes of this type are not supported: " + ", ".join(sorted(probe)))

    async def _http(self, action: Object) -> None:
        context = None
        if action.get("scheme") == "HTTPS":
            context = ssl._create_unverified_context()
        reader, writer = await self._connect(action, context)
        try:
            host = f"{action.get('host') or self._address}:{self._port(action)}"
            headers = {"Host": host, "User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
            headers |= {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
            lines = [
                f"GET {action.get('path') or '/'} HTTP/1.1",
                *(f"{key}: {value}" for key, value in headers.items()),
            ]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            words = (await reader.readline()).split(b" ", 2)
            if len(words) < 2 or not words[1].isdigit():
                raise ProbeFailure(f"{self._target({'httpGet': action})}: malformed HTTP response")
            status = int(words[1])
            with suppress(ConnectionError):
                await reader.read(BODY_BYTES)
        finally:
            writer.close()
        if not 200 <= status < 400:
            raise ProbeFailure(f"HTTP probe failed with statuscode: {status}")

    async def _grpc(self, action: Object) -> None:
        reader, writer = await self._connect(action, None)
        service = action.get("service") or ""
        try:
            said = await grpc_health.check(reader, writer, service, USER_AGENT)
        finally:
            writer.close()
        if not said:
            raise ProbeFailure(f'the server does not say over grpc.health.v1.Health how service "{service}" is')
        if said != "SERVING":
            raise ProbeFailure(f'service unhealthy (responded with "{said}")')

    async def _connect(
        self, action: Object, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = action.get("host") or self._address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = await self._executor.run(socket.socket, family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(made, (address, self._port(action)))
            server_name = action.get("host") or "" if context else None
            return await asyncio.open_connection(sock=made, ssl=context, server_hostname=server_name)
        except BaseException:
            made.close()
            raise

    def _port(self, action: Object) -> int:
        port = action["port"]
        if isinstance(port, int) or str(port).isdigit():
            return int(port)
        for declared in self._container.get("ports") or []:
            if declared.get("name") == port:
                return int(declared["containerPort"])
        raise ProbeFailure(f"couldn't find port: {port}")

    def _target(self, probe: Object) -> str:
        action = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc") or {}
        address = f"{action.get('host') or self._address}:{action.get('port')}"
        if "httpGet" in probe:
            return f'Get "{action.get("scheme", "HTTP").lower()}://{address}{action.get("path") or "/"}"'
        return f"dial tcp {address}"
