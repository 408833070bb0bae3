"""The daemon's own control: what the `netsim` command asks of a running cluster that no Kubernetes object can say.

A unix socket in the cluster's run directory, for root alone. One JSON line asks, `{"command": …, "arguments": {…}}`;
one answers, `{"result": …}` or `{"error": TEXT, "remedy": TEXT}`. Everything that Kubernetes has a word for is asked
of the API instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from controlplane.config import ConfigError
from netsim.errors import NetsimError

log = logging.getLogger(__name__)

Command = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes the arguments, returns what JSON can say; what `Refused`, ConfigError and NetsimError say is for the caller."""

LONGEST_REQUEST = 1 << 20


class Refused(Exception):
    """A command that cannot be carried out, in the user's words, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ControlServer:
    """Answers commands on `path` for as long as it runs. A component."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands

    async def run(self) -> None:
        """Serves until cancelled."""
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, self._path, limit=LONGEST_REQUEST)
        self._path.chmod(0o600)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(await self._carry_out(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            # The caller has gone, or sent no line of a length that a command has.
            return
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _carry_out(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command, arguments = self._commands[request["command"]], request.get("arguments", {})
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"the daemon does not know this command: {error}", "remedy": "is it of another version?"}
        try:
            return {"result": await command(arguments)}
        except (Refused, ConfigError, NetsimError) as error:
            return {"error": str(error), "remedy": getattr(error, "remedy", "")}
        except Exception as error:  # The boundary: a bug in one command is told, and the others go on.
            log.exception("command failed", extra={"command": request["command"]})
            return {"error": f"{type(error).__name__}: {error}", "remedy": "see the daemon's log"}
