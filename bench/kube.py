"""The least client that a benchmark needs: JSON over HTTPS with the admin's certificate, and a watch.

Not the project's own client, so that what is measured is the server and not both.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECONDS = 60.0


class Kube:
    """One keep-alive connection to the API server that a kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        import yaml

        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        address = urlsplit(cluster["server"])
        self._host, self._port = address.hostname or "", address.port or 443
        self._tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(user["client-certificate-data"]))
            file.write(base64.b64decode(user["client-key-data"]))
            file.flush()
            self._tls.load_cert_chain(file.name)
        self._connection = self._connect()

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, body)

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)

    def patch(self, path: str, body: Any) -> Any:
        """A JSON merge patch."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The answer as JSON. Raises RuntimeError with the server's message when it is not a success."""
        data = json.dumps(body) if body is not None else None
        self._connection.request(method, path, data, {"Content-Type": content_type, "Accept": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def watch(self, path: str, version: str) -> Generator[Any, None, None]:
        """Events after `version`, on a connection of their own. A silence of a minute raises TimeoutError."""
        connection = self._connect()
        try:
            separator = "&" if "?" in path else "?"
            connection.request("GET", f"{path}{separator}watch=1&resourceVersion={version}")
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def until(self, path: str, done: Callable[[dict[str, Any]], bool], act: Callable[[], None]) -> None:
        """Watches the collection `path`, does `act`, and returns when `done` holds for the objects by name."""
        listed = self.get(path)
        objects = {item["metadata"]["name"]: item for item in listed["items"]}
        events = self.watch(path, listed["metadata"]["resourceVersion"])
        act()
        while not done(objects):
            event = next(events)
            name = event["object"]["metadata"].get("name", "")
            if event["type"] == "DELETED":
                objects.pop(name, None)
            elif event["type"] != "BOOKMARK":
                objects[name] = event["object"]
        events.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=SECONDS, context=self._tls)


def is_ready(obj: dict[str, Any]) -> bool:
    """Whether a pod or node has the condition Ready."""
    conditions = obj.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
