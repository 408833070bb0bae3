"""What each ADD of a runtime was asked and answered, on disk: CHECK and DEL need it, and GC lists it.

The files are named and shaped as libcni's, so tools that read those read these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cni.errors import DecodeFailed
from cni.spec import Attachment, Result
from netsim import files

_KIND = "cniCacheV1"


class ResultCache:
    """A directory with a file per attachment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "results"

    def put(self, network: str, version: str, attachment: Attachment, result: Result) -> None:
        """Remembers an ADD."""
        body = {
            "kind": _KIND,
            "containerId": attachment.container_id,
            "ifName": attachment.ifname,
            "networkName": network,
            "netns": attachment.netns,
            "cniArgs": [[key, value] for key, value in attachment.args.items()],
            "capabilityArgs": dict(attachment.capabilities),
            "result": result.to_json(version),
        }
        data = json.dumps(body).encode()
        path = self._path(network, attachment.container_id, attachment.ifname)
        try:
            files.replace(path, data, mode=0o600)
        except FileNotFoundError:
            self._directory.mkdir(parents=True, exist_ok=True)
            files.replace(path, data, mode=0o600)

    def get(self, network: str, container_id: str, ifname: str) -> tuple[Attachment, Result] | None:
        """What an ADD was asked and its result, or None. Raises `DecodeFailed`."""
        try:
            body = self._read(self._path(network, container_id, ifname))
        except FileNotFoundError:
            return None
        return _attachment(body), Result.from_json(body["result"])

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """Forgets an ADD; absent is no error."""
        files.remove(self._path(network, container_id, ifname))

    def attachments(self, network: str) -> Iterator[Attachment]:
        """All that are remembered of a network."""
        for path in sorted(self._directory.glob(f"{network}-*")) if self._directory.is_dir() else ():
            body = self._read(path)
            if body.get("networkName") == network:
                yield _attachment(body)

    def _path(self, network: str, container_id: str, ifname: str) -> Path:
        return self._directory / f"{network}-{container_id}-{ifname}"

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            body = json.loads(path.read_bytes())
        except ValueError as error:
            raise DecodeFailed(f"the cached result {path}", str(error)) from error
        if not isinstance(body, dict) or body.get("kind") != _KIND:
            raise DecodeFailed(f"the cached result {path}", f"its kind is not {_KIND}")
        return body


def _attachment(body: Mapping[str, Any]) -> Attachment:
    return Attachment(
        container_id=body["containerId"],
        netns=body.get("netns", ""),
        ifname=body["ifName"],
        args=dict(body.get("cniArgs") or ()),
        capabilities=body.get("capabilityArgs") or {},
    )
