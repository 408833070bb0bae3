"""Which servers know the names that are not the cluster's.

The host's resolvers, unless the cluster's configuration or the ConfigMap `kube-dns` in `kube-system` says otherwise,
in the words of GKE's:

    data:
      stubDomains: '{"corp.example": ["10.1.2.3", "10.1.2.4:5353"]}'
      upstreamNameservers: '["9.9.9.9"]'
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from controlplane.api.kinds import CONFIG_MAP
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.dns.records import Labels

log = logging.getLogger(__name__)

Address = tuple[str, int]

NAME = "kube-dns"
NAMESPACE_NAME = "kube-system"
HOST_RESOLV = Path("/etc/resolv.conf")
PORT = 53
MOST_SERVERS = 3


class Upstreams:
    """`servers_for` a name. `port` is that of the servers in `resolv_conf`, which is read again when it changes.

    `stub_domains` and `nameservers` are the cluster configuration's; each holds until the ConfigMap names others.
    """

    def __init__(
        self,
        informers: Informers,
        resolv_conf: Path = HOST_RESOLV,
        *,
        port: int = PORT,
        stub_domains: Mapping[str, Sequence[str]] | None = None,
        nameservers: Sequence[str] = (),
    ) -> None:
        self.own: frozenset[Address] = frozenset()
        """The DNS's own addresses: a host that uses the cluster's DNS must not send it in a circle."""
        self._resolv_conf = resolv_conf
        self._port = port
        self._version = 0
        self._of_host: tuple[Address, ...] = ()
        self._given = _stubs({domain: list(each) for domain, each in (stub_domains or {}).items()})
        self._given_servers = _servers(list(nameservers))
        self._stubs, self._written = self._given, self._given_servers
        self._config = informers.of(CONFIG_MAP, NAMESPACE_NAME, field_selector=f"metadata.name={NAME}")
        self._config.add_handler(lambda _, new: self._configured(new))

    async def wait_synced(self) -> None:
        """Returns when the ConfigMap, if there is one, has been read."""
        await self._config.wait_synced()

    def servers_for(self, labels: Labels) -> Sequence[Address]:
        """Whom to ask about a name: the servers of the longest stub domain that it is in, else the general ones."""
        for start in range(len(labels)):
            stub = self._stubs.get(labels[start:])
            if stub is not None:
                return stub
        return self._written or [server for server in self._host_servers() if server not in self.own]

    def _host_servers(self) -> tuple[Address, ...]:
        try:
            version = self._resolv_conf.stat().st_mtime_ns
            if version != self._version:
                self._of_host = self._parse(self._resolv_conf.read_text(errors="replace"))
                self._version = version
        except OSError:
            return ()
        return self._of_host

    def _parse(self, text: str) -> tuple[Address, ...]:
        lines = [line.split() for line in text.splitlines()]
        found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        return tuple((address, self._port) for address in found[:MOST_SERVERS])

    def _configured(self, config: Object | None) -> None:
        data = (config or {}).get("data") or {}
        try:
            stubs = _stubs(json.loads(data["stubDomains"])) if data.get("stubDomains") else self._given
            servers = data.get("upstreamNameservers")
            written = _servers(json.loads(servers)) if servers else self._given_servers
        except ValueError as error:
            # What was right before goes on; whoever wrote it finds the reason in the daemon's log.
            log.warning("ConfigMap kube-dns is not used", extra={"error": str(error)})
            return
        self._stubs, self._written = stubs, written


def _stubs(written: object) -> dict[Labels, tuple[Address, ...]]:
    if not isinstance(written, Mapping):
        raise ValueError("stubDomains: not an object of domains and lists of addresses")
    return {tuple(domain.lower().strip(".").split(".")): _servers(servers) for domain, servers in written.items()}


def _servers(written: object) -> tuple[Address, ...]:
    if not isinstance(written, list) or not all(isinstance(one, str) for one in written):
        raise ValueError(f"{written!r}: not a list of addresses")
    return tuple(_server(one) for one in written)


def _server(text: str) -> Address:
    """ "192.0.2.1", "192.0.2.1:5353" or an IPv6 address; ValueError otherwise."""
    host, colon, port = text.partition(":")
    if colon and ":" not in port:
        return str(IPv4Address(host)), int(port)
    return str(ip_address(text)), PORT
