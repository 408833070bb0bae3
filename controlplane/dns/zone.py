"""The names of the cluster's zone and what they mean: the Kubernetes DNS specification 1.1.0, as CoreDNS reads it.

Pure but for the catalogue that is asked. What the specification leaves open is as CoreDNS does it with kubeadm's
configuration: an endpoint without a hostname is named after its address, a pod's record is made from the question and
not checked, SRV records are also given for a Service as a whole, a Service without ready endpoints that is headless
does not exist. Beyond it, nodes have names, and reverse names of the cluster's own ranges never leave the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address

from controlplane.api.types import Object
from controlplane.dns.catalogue import ADDRESSES, NODES, Catalogue, Target, cluster_ips
from controlplane.dns.records import VERSION_TTL, Answer, Code, Labels, Record, Type

SCHEMA_VERSION = "1.1.0"
REVERSE = ("in-addr", "arpa")
SERVER = "kube-dns.kube-system.svc"
LONGEST_ALIAS_CHAIN = 8


class Zone:
    """Answers from the objects. `domain` is as "cluster.local", `address` that of the DNS itself; names of addresses in
    `ranges` are this cluster's, whether or not there is something at the address."""

    def __init__(self, catalogue: Catalogue, domain: str, address: str, ranges: Iterable[IPv4Network] = ()) -> None:
        self._catalogue = catalogue
        self._domain = domain
        self._labels: Labels = tuple(domain.split("."))
        self._address = address
        self._ranges = tuple(ranges)

    def lookup(self, labels: Labels, qtype: int) -> Answer | None:
        """The answer; None for a name that is none of this cluster's."""
        answer = self._find(labels, qtype)
        for _ in range(LONGEST_ALIAS_CHAIN):
            if answer is None or not answer.alias:
                return answer
            target = self._find(tuple(answer.alias.split(".")), qtype)
            if target is None:
                return answer
            answer = _joined(answer, target)
        return replace(answer, code=Code.SERVFAIL, records=(), alias="") if answer is not None else None

    def _find(self, labels: Labels, qtype: int) -> Answer | None:
        size = len(self._labels)
        if labels[-size:] == self._labels:
            answer = self._in_zone(labels[:-size], qtype)
            zone = self._domain
        elif labels[-2:] == REVERSE:
            found = self._reverse(labels[:-2], qtype)
            if found is None:
                return None
            answer, zone = found, ".".join(REVERSE)
        else:
            addresses = self._catalogue.node(".".join(labels))
            if addresses is None:
                return None
            answer, zone = _addresses(addresses, qtype, {NODES}), ".".join(labels)
        return replace(answer, authority=self._soa(zone))

    def _soa(self, owner: str) -> Record:
        return Record(
            Type.SOA, f"ns.dns.{self._domain} hostmaster.{self._domain} {self._catalogue.serial}", owner=owner
        )

    def _in_zone(self, rest: Labels, qtype: int) -> Answer:
        if not rest:
            return self._apex(qtype)
        match rest[-1]:
            case "svc":
                return self._service(rest[:-1], qtype)
            case "pod":
                return self._pod(rest[:-1], qtype)
        if rest == ("dns-version",):
            version = Record(Type.TXT, SCHEMA_VERSION, ttl=VERSION_TTL)
            return Answer((version,) if qtype == Type.TXT else ())
        if rest == ("dns",):
            return Answer()
        if rest == ("ns", "dns"):
            return _addresses([self._address], qtype, ())
        addresses = self._catalogue.node(".".join(rest))
        return _missing(NODES) if addresses is None else _addresses(addresses, qtype, {NODES})

    def _apex(self, qtype: int) -> Answer:
        if qtype == Type.SOA:
            return Answer((self._soa(""),), depends=frozenset({ADDRESSES}))
        if qtype == Type.NS:
            name = f"{SERVER}.{self._domain}"
            return Answer((Record(Type.NS, name),), (Record(Type.A, self._address, name),))
        return Answer()

    def _service(self, rest: Labels, qtype: int) -> Answer:
        """`rest` is [[_port _protocol | endpoint] service] namespace, or nothing."""
        if len(rest) < 2:
            return self._namespace(rest)
        if len(rest) > 4:
            return _missing()
        namespace, name = rest[-1], rest[-2]
        key = f"{namespace}/{name}"
        service = self._catalogue.service(namespace, name)
        if service is None:
            return _missing(key)
        before = rest[:-2]
        if service["spec"].get("type") == "ExternalName":
            return _missing(key) if before else _alias(service, key, qtype)
        targets = self._targets(service, before)
        if not targets:
            return _missing(key)
        if qtype == Type.SRV:
            return self._srv(f"{name}.{namespace}.svc.{self._domain}", targets, key)
        return _addresses([target.address for target in targets], qtype, {key})

    def _targets(self, service: Object, before: Labels) -> list[Target]:
        metadata = service["metadata"]
        own = cluster_ips(service)
        endpoint = before[0] if len(before) == 1 else ""
        if endpoint or not own:
            found: Iterable[Target] = self._catalogue.endpoints(metadata["namespace"], metadata["name"])
        else:
            found = _at_cluster_ips(service, own)
        if endpoint:
            return [target for target in found if target.hostname.lower() == endpoint]
        if len(before) == 2:
            port, protocol = (label.removeprefix("_") for label in before)
            return [target for target in found if (target.port_name, target.protocol) == (port, protocol)]
        return list(found)

    def _srv(self, owner: str, targets: Sequence[Target], key: str) -> Answer:
        """One record for each port of each host, and the hosts' addresses besides."""
        weight = max(1, 100 // len(targets))
        records: dict[Record, None] = {}
        extra: dict[Record, None] = {}
        for target in targets:
            if target.port is not None:
                host = f"{target.hostname}.{owner}".lower() if target.hostname else owner
                records[Record(Type.SRV, host, port=target.port, weight=weight)] = None
                extra[Record(_family(target.address), target.address, host)] = None
        return Answer(tuple(records), tuple(extra), depends=frozenset({key}))

    def _namespace(self, rest: Labels) -> Answer:
        if not rest:
            return Answer()
        key = f"{rest[0]}/"
        return Answer(depends=frozenset({key})) if self._catalogue.has_namespace(rest[0]) else _missing(key)

    def _pod(self, rest: Labels, qtype: int) -> Answer:
        """`rest` is [dashed-address] namespace, or nothing. Any address is answered: CoreDNS's `pods insecure`."""
        if len(rest) < 2:
            return self._namespace(rest)
        key = f"{rest[-1]}/"
        address = _undashed(rest[0])
        if len(rest) > 2 or address is None or not self._catalogue.has_namespace(rest[-1]):
            return _missing(key)
        return _addresses([address], qtype, {key})

    def _reverse(self, rest: Labels, qtype: int) -> Answer | None:
        try:
            address = IPv4Address(".".join(reversed(rest)))
        except AddressValueError:
            return None
        names = self._catalogue.names_of(str(address))
        if not names:
            return _missing(ADDRESSES) if any(address in network for network in self._ranges) else None
        records = tuple(Record(Type.PTR, f"{name}.{self._domain}") for name in names)
        return Answer(records if qtype == Type.PTR else (), depends=frozenset({ADDRESSES}))


def _missing(*depends: str) -> Answer:
    return Answer(code=Code.NXDOMAIN, depends=frozenset(depends))


def _addresses(addresses: Iterable[str], qtype: int, depends: Iterable[str]) -> Answer:
    """The addresses of the family that is asked for; NODATA if there are none of it."""
    unique = dict.fromkeys(addresses)
    records = tuple(Record(family, one) for one in unique if (family := _family(one)) == qtype)
    return Answer(records, depends=frozenset(depends))


def _alias(service: Object, key: str, qtype: int) -> Answer:
    target = service["spec"].get("externalName", "").rstrip(".").lower()
    if not target or _is_address(target):
        return _missing(key)
    alias = target if qtype != Type.CNAME else ""
    return Answer((Record(Type.CNAME, target),), alias=alias, depends=frozenset({key}))


def _joined(alias: Answer, target: Answer) -> Answer:
    """An answer to the name behind an alias, after the alias itself."""
    owned = tuple(replace(record, owner=record.owner or alias.alias) for record in target.records)
    return replace(target, records=alias.records + owned, depends=alias.depends | target.depends)


def _at_cluster_ips(service: Object, addresses: Iterable[str]) -> Iterable[Target]:
    ports = service["spec"].get("ports") or ()
    return [
        Target(address, port["port"], port.get("name") or "", port.get("protocol", "TCP").lower())
        for port in ports
        for address in addresses
    ]


def _family(address: str) -> Type:
    return Type.AAAA if ":" in address else Type.A


def _undashed(text: str) -> str | None:
    for candidate in (text.replace("-", "."), text.replace("-", ":")):
        if _is_address(candidate):
            return candidate
    return None


def _is_address(text: str) -> bool:
    for family in (IPv4Address, IPv6Address):
        try:
            family(text)
        except AddressValueError:
            continue
        return True
    return False
