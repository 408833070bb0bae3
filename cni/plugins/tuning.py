"""Name: tuning

Description: sets what is set of a container's interface, and sysctls of its network namespace. It makes nothing, and
comes behind a plugin that does.

Syntax:
    sysctl      object of sysctl names below `net.` and their values; IFNAME in a name stands for the interface
    mac         hardware address
    mtu         bytes
    promisc     take every frame
    allmulti    take every multicast frame
    txQLen      packets in the transmit queue
With the capability `mac`, or `MAC=` in CNI_ARGS, the hardware address is set by the runtime.
`dataDir` is not needed: what is set goes with the interface.

Example: {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1400}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig
from cni.plugins.interface import differs, ensure_namespace_exists, flag, mtu, number
from cni.spec import Result
from netsim import link, namespace, sysctl
from netsim.netlink import Netlink

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_LONGEST_QUEUE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Config:
    sysctls: dict[str, str]
    mac: str | None
    mtu: int | None
    promiscuous: bool | None
    all_multicast: bool | None
    queue_length: int | None


class Tuning:
    """The plugin."""

    def add(self, call: Call) -> Result:
        """Sets it; the result is the earlier plugins' with the new address and MTU in it."""
        config = _read(call)
        if call.previous is None:
            raise CniError(Code.INVALID_CONFIG, "tuning has to come behind a plugin that makes an interface")
        ensure_namespace_exists(call)
        with namespace.entered(call.netns), Netlink() as container:
            for name, value in config.sysctls.items():
                sysctl.write(name, value)
            container.send(
                link.change(
                    call.ifname,
                    address=config.mac,
                    mtu=config.mtu,
                    queue_length=config.queue_length,
                    promiscuous=config.promiscuous,
                    all_multicast=config.all_multicast,
                )
            )
        return _told(call.previous, call, config)

    def delete(self, call: Call) -> None:
        """What was set goes with the interface and the namespace."""
        _read(call)

    def check(self, call: Call) -> None:
        """Raises if a value is not as ADD set it."""
        config = _read(call)
        ensure_namespace_exists(call)
        with namespace.entered(call.netns), Netlink() as container:
            for name, value in config.sysctls.items():
                found = sysctl.read(name)
                if found.split() != value.split():
                    raise differs(f"sysctl {name} is {found}, not {value}")
            nic = link.get_link(container, call.ifname)
        for what, wanted, present in (("mac", config.mac, nic.address), ("mtu", config.mtu, nic.mtu)):
            if wanted is not None and wanted != present:
                raise differs(f"{what} of {call.ifname} is {present}, not {wanted}")

    def gc(self, call: Call) -> None:
        """Nothing outlives the namespace."""

    def status(self, call: Call) -> None:
        """Ready when the configuration is right."""
        _read(call)


def _read(call: Call) -> _Config:
    written = call.config
    mac = str(written.get("runtimeConfig", {}).get("mac") or call.args.get("MAC") or written.get("mac") or "")
    if mac and _MAC.fullmatch(mac) is None:
        raise InvalidConfig("mac", mac, "six bytes in hexadecimal, such as 0a:58:0a:2c:01:02, are needed")
    return _Config(
        sysctls=_sysctls(call),
        mac=mac.lower() or None,
        mtu=mtu(written, 0) or None,
        promiscuous=True if flag(written, "promisc") else None,
        all_multicast=True if flag(written, "allmulti") else None,
        queue_length=number(written, "txQLen", 1, _LONGEST_QUEUE) or None,
    )


def _sysctls(call: Call) -> dict[str, str]:
    written = call.config.get("sysctl") or {}
    if not isinstance(written, dict):
        raise InvalidConfig("sysctl", written, "an object of names and values is needed")
    named = {}
    for name, value in written.items():
        # A link's own dots are written as slashes, as sysctl(8) has them.
        dotted = name.replace("/", ".") if "." not in name else name
        if not dotted.startswith("net.") or ".." in dotted:
            raise InvalidConfig("sysctl", name, "only sysctls below net. are of a network namespace")
        named[dotted.replace("IFNAME", call.ifname.replace(".", "/"))] = str(value)
    return named


def _told(previous: Result, call: Call, config: _Config) -> Result:
    interfaces = tuple(
        replace(each, mac=config.mac or each.mac, mtu=config.mtu or each.mtu)
        if each.name == call.ifname and each.sandbox
        else each
        for each in previous.interfaces
    )
    return replace(previous, interfaces=interfaces)


PLUGIN = Tuning()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
