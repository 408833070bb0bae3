"""Asking the daemon of a cluster for what no Kubernetes object can say; `controlplane.control` answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from workbench.cli.errors import UserError
from workbench.cli.options import running

ANSWER_SECONDS = 300.0


def ask(name: str, command: str, arguments: Mapping[str, object] | None = None) -> Any:
    """The result of a command; UserError if the cluster does not run, or will not do it."""
    directories = running(name)
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
