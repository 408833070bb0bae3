"""Reading a cluster's API from outside, with nothing but the standard library.

It is for commands that make a few requests and must start fast; components use `controlplane.client`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from workbench.cli.errors import UserError
from workbench.cli.kubeconfigs import Kubeconfig, under_one_name

TIMEOUT_SECONDS = 10.0


class ApiUnreachable(UserError):
    """The API server does not answer, or not with what was asked for."""


class ApiRefused(UserError):
    """The API server does not do what it was asked to; the text is its own. `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ApiReader:
    """Requests over one connection, authenticated by a kubeconfig's client certificate or token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = under_one_name(yaml.safe_load(kubeconfig.read_text()), "it")
        user = config["users"][0]["user"]
        cluster = config["clusters"][0]["cluster"]
        self._server, self._context = urlsplit(cluster["server"]), _context(cluster, user)
        self._headers = {"Accept": "application/json"}
        self._log = kubeconfig.with_name("daemon.log")
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        self._connection = self._connect(TIMEOUT_SECONDS)

    def get(self, path: str) -> Any:
        """The decoded answer; ApiUnreachable if there is none or it is not a success."""
        status, body = self._request(path)
        if status != 200:
            raise ApiUnreachable(f"the API server answered {status} to {path}: {body[:200].decode(errors='replace')}")
        return json.loads(body)

    def items(self, path: str) -> list[dict[str, Any]]:
        """The items of a list."""
        items: list[dict[str, Any]] = self.get(path)["items"]
        return items

    def send(self, method: Literal["POST", "DELETE"], path: str, body: object = None) -> Any:
        """The decoded answer to a change. Raises `ApiRefused`, `ApiUnreachable`."""
        status, answer = self._request(path, method, None if body is None else json.dumps(body))
        document = json.loads(answer)
        if status >= 400:
            raise ApiRefused(document.get("message", f"the API server answered {status}"), status)
        return document

    def wait_for(self, collection: str, name: str, seconds: float) -> Any:
        """The object of that name in a collection, as soon as there is one, by a watch.

        Raises `ApiUnreachable` if there is none after `seconds`.
        """
        path = f"{collection}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={seconds:.0f}"
        # A stream that is left before its end takes its connection with it.
        connection = self._connect(seconds)
        try:
            connection.request("GET", path, headers=self._headers)
            line = connection.getresponse().readline()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        if not line:
            raise ApiUnreachable(f"there is no {name} in {collection} after {seconds:.0f} s")
        event = json.loads(line)
        if event.get("type") != "ADDED":
            refusal = event.get("object", event)
            raise ApiUnreachable(f"the API server answered to a watch of {collection}: {refusal.get('message')}")
        return event["object"]

    def check(self, path: str) -> str:
        """Empty if a health endpoint answers 200, else what it says."""
        status, body = self._request(path)
        return "" if status == 200 else f"{path} answered {status}: {body[:200].decode(errors='replace')}"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _unreachable(self, error: Exception) -> ApiUnreachable:
        said = "it is there, and says nothing" if isinstance(error, TimeoutError) else str(error)
        return ApiUnreachable(f"the API server does not answer: {said}", f"see {self._log}")

    def _connect(self, seconds: float) -> http.client.HTTPSConnection:
        host, port = self._server.hostname or "", self._server.port
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._context)

    def _request(self, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error


def _context(cluster: Kubeconfig, user: Kubeconfig) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        pair = b"".join(base64.b64decode(user[key]) for key in ("client-certificate-data", "client-key-data"))
        with _in_memory(pair) as file:
            context.load_cert_chain(file)
    return context


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path to `data` that is on no disk: `ssl` reads keys from files only."""
    descriptor = os.memfd_create("netsim-client")
    try:
        os.write(descriptor, data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
