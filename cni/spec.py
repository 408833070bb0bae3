"""The types of the CNI spec 1.1.0, and their JSON in that and the older versions.

The fields have the spec's names in snake case. https://www.cni.dev/docs/spec/ says what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cni.errors import DecodeFailed, IncompatibleVersion

CURRENT_VERSION = "1.1.0"
SUPPORTED_VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
VALID_ATTACHMENTS = "cni.dev/valid-attachments"
"""The field of a configuration in which GC is told what is still attached."""

CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
IFNAME = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container to be attached: `netns` is the path of its namespace, empty if that is gone.

    `args` become CNI_ARGS; `capabilities` become the runtimeConfig of those plugins that declare them.
    """

    container_id: str
    netns: str
    ifname: str = "eth0"
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interface:
    """A link that a plugin made; `sandbox` is the container's namespace, empty for one outside."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""

    def to_json(self, version: str) -> dict[str, Any]:
        """The spec's object."""
        body: dict[str, Any] = {"name": self.name}
        body |= {"mac": self.mac} if self.mac else {}
        body |= {"mtu": self.mtu} if self.mtu and at_least(version, "1.1.0") else {}
        return body | ({"sandbox": self.sandbox} if self.sandbox else {})


@dataclass(frozen=True, slots=True)
class IPConfig:
    """An address with prefix length; `interface` is an index into the result's interfaces."""

    address: str
    gateway: str = ""
    interface: int | None = None

    def to_json(self, version: str) -> dict[str, Any]:
        """The spec's object; before 1.0.0 it had the address family's version."""
        body: dict[str, Any] = {"address": self.address}
        body |= {} if at_least(version, "1.0.0") else {"version": "6" if ":" in self.address else "4"}
        body |= {"gateway": self.gateway} if self.gateway else {}
        return body | ({"interface": self.interface} if self.interface is not None else {})


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """A route of the container; without `gw` it goes by the gateway of the address."""

    dst: str
    gw: str = ""
    mtu: int = 0

    def to_json(self, version: str) -> dict[str, Any]:
        """The spec's object."""
        body: dict[str, Any] = {"dst": self.dst}
        body |= {"gw": self.gw} if self.gw else {}
        return body | ({"mtu": self.mtu} if self.mtu and at_least(version, "1.1.0") else {})


@dataclass(frozen=True, slots=True)
class Result:
    """What an ADD has made, of all plugins of the list so far."""

    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IPConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()
    dns: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self, version: str = CURRENT_VERSION) -> dict[str, Any]:
        """The spec's object in that version."""
        return {
            "cniVersion": version,
            "interfaces": [interface.to_json(version) for interface in self.interfaces],
            "ips": [ip.to_json(version) for ip in self.ips],
            "routes": [route.to_json(version) for route in self.routes],
            "dns": dict(self.dns),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Result:
        """The result in a spec's object of any supported version. Raises `DecodeFailed`."""
        try:
            return cls(
                interfaces=tuple(
                    Interface(item["name"], item.get("mac", ""), item.get("mtu", 0), item.get("sandbox", ""))
                    for item in body.get("interfaces") or ()
                ),
                ips=tuple(
                    IPConfig(item["address"], item.get("gateway", ""), item.get("interface"))
                    for item in body.get("ips") or ()
                ),
                routes=tuple(
                    RouteConfig(item["dst"], item.get("gw", ""), item.get("mtu", 0))
                    for item in body.get("routes") or ()
                ),
                dns=body.get("dns") or {},
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise DecodeFailed("a CNI result", repr(error)) from error


@dataclass(frozen=True, slots=True)
class NetworkList:
    """A conflist: the plugins that attach a container, in order."""

    name: str
    cni_version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    disable_gc: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> NetworkList:
        """Reads a conflist; with `cniVersions` the highest that we speak is taken. Raises a `CniError`."""
        name, plugins = body.get("name"), body.get("plugins")
        if not isinstance(name, str) or CONTAINER_ID.fullmatch(name) is None:
            raise DecodeFailed("the network configuration list", f"name is {name!r}")
        if not isinstance(plugins, list) or not plugins:
            raise DecodeFailed("the network configuration list", "plugins has to be a list of at least one")
        if not all(isinstance(plugin, dict) and isinstance(plugin.get("type"), str) for plugin in plugins):
            raise DecodeFailed("the network configuration list", "each of plugins has to have a type")
        return cls(
            name=name,
            cni_version=_agreed_version(body),
            plugins=tuple(plugins),
            disable_check=bool(body.get("disableCheck", False)),
            disable_gc=bool(body.get("disableGC", False)),
        )


def at_least(version: str, other: str) -> bool:
    """Whether a version of the spec is that other or later."""
    return _numbers(version) >= _numbers(other)


def check_version(version: str) -> str:
    """The version if it is spoken here; raises `IncompatibleVersion`."""
    if version not in SUPPORTED_VERSIONS:
        raise IncompatibleVersion(version, SUPPORTED_VERSIONS)
    return version


def _agreed_version(body: Mapping[str, Any]) -> str:
    offered = [body.get("cniVersion") or "0.1.0", *body.get("cniVersions", ())]
    spoken = [version for version in offered if version in SUPPORTED_VERSIONS]
    return max(spoken, key=_numbers) if spoken else check_version(str(offered[0]))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
