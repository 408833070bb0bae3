"""Gives Services their cluster address and node ports, or refuses those that are taken.

Upstream does this in the Service's storage; here it is the last mutating admission step. What a
Service holds is entered after the write was staged, so a refused write leaves no trace.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from controlplane.api.errors import FieldError, InternalError, Invalid
from controlplane.api.field import invalid
from controlplane.api.kinds import SERVICE
from controlplane.api.types import Object
from controlplane.server.admission import Attributes
from controlplane.server.allocators import Addresses, Full, Ports
from controlplane.store import Key, Store

HEADLESS = "None"
FIRST_PORT, LAST_PORT = 30000, 32767
RESOURCE = SERVICE.resource


class ServiceAddresses:
    """The allocations of one Service range and the node-port range."""

    def __init__(self, store: Store, network: IPv4Network) -> None:
        self._addresses = Addresses(network)
        self._ports = Ports(FIRST_PORT, LAST_PORT)
        for revision in store.objects(RESOURCE):
            self._hold(revision.key, revision.document)

    def settle(self, key: Key, store: Store) -> None:
        """Takes in what the object of `key` holds now; called when its latest state has changed."""
        if key.resource == RESOURCE:
            latest = store.latest(key)
            self._hold(key, latest.document if latest else None)

    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not SERVICE or request.subresource or request.operation == "DELETE":
            return
        key = Key(RESOURCE, request.namespace, request.name)
        spec = request.obj.setdefault("spec", {})
        if request.old is not None:
            _carry_over(spec, request.old["spec"])
        errors = self._settle_address(key, spec) + self._settle_ports(key, spec)
        if errors:
            raise Invalid.of("", SERVICE.name, request.name, errors)

    def _hold(self, key: Key, service: Object | None) -> None:
        spec = service["spec"] if service else {}
        address = spec.get("clusterIP", "")
        self._addresses.hold(key, [address] if address not in ("", HEADLESS) else [])
        ports = [(p.get("protocol", "TCP"), p["nodePort"]) for p in spec.get("ports", ()) if p.get("nodePort")]
        if spec.get("healthCheckNodePort"):
            ports.append(("TCP", spec["healthCheckNodePort"]))
        self._ports.hold(key, ports)

    def _settle_address(self, key: Key, spec: Object) -> list[FieldError]:
        if spec.get("type") == "ExternalName":
            return []
        address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs", ())), "")
        if not address:
            try:
                address = self._addresses.choose()
            except Full as error:
                network = self._addresses.network
                raise InternalError(f"failed to allocate a serviceIP: range {network} is full") from error
        elif problem := self._unavailable(key, address):
            return [invalid("spec.clusterIPs", [address], f"failed to allocate IP {address}: {problem}")]
        spec["clusterIP"] = address
        spec.setdefault("clusterIPs", [address])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        return []

    def _unavailable(self, key: Key, address: str) -> str:
        if address == HEADLESS:
            return ""
        try:
            IPv4Address(address)
        except AddressValueError:
            return ""  # validation says it better
        if not self._addresses.contains(address):
            network = self._addresses.network
            return f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {network}"
        return "" if self._addresses.owner(address) in (None, key) else "provided IP is already allocated"

    def _settle_ports(self, key: Key, spec: Object) -> list[FieldError]:
        if not _wants_node_ports(spec):
            return []
        errors = []
        chosen: dict[int, int] = {}
        ports = [port for port in spec.get("ports", ()) if isinstance(port.get("port"), int)]
        for index, port in enumerate(ports):
            number, protocol = port.get("nodePort"), port.get("protocol", "TCP")
            if number:
                errors += self._check_port(key, protocol, number, f"spec.ports[{index}].nodePort")
                chosen.setdefault(port["port"], number)
        used = set(chosen.values())
        for port in ports:
            if not port.get("nodePort"):
                port["nodePort"] = chosen.get(port["port"]) or self._choose(used)
                chosen[port["port"]] = port["nodePort"]
        if _wants_health_port(spec):
            if not spec.get("healthCheckNodePort"):
                spec["healthCheckNodePort"] = self._choose(used)
            else:
                errors += self._check_port(key, "TCP", spec["healthCheckNodePort"], "spec.healthCheckNodePort")
        return errors

    def _choose(self, used: set[int]) -> int:
        """A port free in every protocol, so that the same number can serve all of them, and not in `used`."""
        try:
            number = self._ports.choose(("TCP", "UDP", "SCTP"), used)
        except Full as error:
            raise InternalError("failed to allocate a nodePort: range is full") from error
        used.add(number)
        return number

    def _check_port(self, key: Key, protocol: str, number: int, path: str) -> list[FieldError]:
        if not FIRST_PORT <= number <= LAST_PORT:
            valid = f"The range of valid ports is {FIRST_PORT}-{LAST_PORT}"
            return [invalid(path, number, f"provided port is not in the valid range. {valid}")]
        if self._ports.owner((protocol, number)) not in (None, key):
            return [invalid(path, number, "provided port is already allocated")]
        return []


def _wants_node_ports(spec: Object) -> bool:
    wanted = spec.get("type")
    return wanted == "NodePort" or (wanted == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True))


def _wants_health_port(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _carry_over(spec: Object, old: Object) -> None:
    """Keeps what was allocated where an update leaves it out, and drops what the new type has no use for."""
    if spec.get("type") == "ExternalName":
        if spec.get("clusterIP") == old.get("clusterIP"):
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(field, None)
    elif old.get("type") != "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(field) and field in old:
                spec[field] = old[field]
    had, wants = _wants_node_ports(old), _wants_node_ports(spec)
    if had and wants:
        _carry_ports(spec, old)
    elif had and spec.get("type") not in ("NodePort", "LoadBalancer"):
        before = {port.get("nodePort") for port in old.get("ports", ())}
        for port in spec.get("ports", ()):
            if port.get("nodePort") in before:
                port.pop("nodePort", None)
    if _wants_health_port(old):
        if not _wants_health_port(spec):
            spec.pop("healthCheckNodePort", None)
        elif not spec.get("healthCheckNodePort") and "healthCheckNodePort" in old:
            spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def _carry_ports(spec: Object, old: Object) -> None:
    """Ports keep their node port by name, unless another port of the new Service names it."""
    named = {port.get("name", ""): port.get("nodePort") for port in old.get("ports", ())}
    used = {port.get("nodePort") for port in spec.get("ports", ())}
    for port in spec.get("ports", ()):
        before = named.get(port.get("name", ""))
        if not port.get("nodePort") and before and before not in used:
            port["nodePort"] = before
