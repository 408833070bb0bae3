"""Asking the daemon of a cluster for what no Kubernetes object can say; `controlplane.control` answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from controlplane.directories import Directories
from controlplane.pidfile import running_pid
from workbench.cli.errors import UserError

ANSWER_SECONDS = 120.0


def ask(directories: Directories, command: str, arguments: Mapping[str, object] | None = None) -> Any:
    """The result of a command; UserError if the cluster does not run, or will not do it."""
    if running_pid(directories.pid_file) is None:
        name = directories.name
        raise UserError(f"cluster {name} does not run", f"start it: sudo netsim up --name {name}")
    request = json.dumps({"command": command, "arguments": dict(arguments or {})}).encode() + b"\n"
    try:
        answer = _exchange(str(directories.control), request)
    except TimeoutError as error:
        raise UserError(f"the daemon has not answered in {ANSWER_SECONDS:.0f} s", f"see {directories.log}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"the daemon does not take commands: {error}", f"see {directories.log}") from error
    if "error" in answer:
        raise UserError(answer["error"], answer.get("remedy", ""))
    return answer["result"]


def _exchange(path: str, request: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(path)
        connection.sendall(request)
        with connection.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    return answer
