"""The rights and the programs that are needed, with the Debian packages they come in."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from netsim.probe.check import Check
from netsim.programs import PATH

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21


@dataclass(frozen=True, slots=True)
class _Program:
    names: tuple[str, ...]
    package: str
    purpose: str
    required: bool = True


_PROGRAMS = (
    _Program(("crun", "runc"), "crun", "to start containers"),
    _Program(("conmon",), "conmon", "to watch over containers"),
    _Program(("iptables-nft-restore", "iptables-restore"), "iptables", "for the rules of Services"),
    _Program(("nft",), "nftables", "for the NAT to the host's uplink and the VPC's firewall"),
    _Program(("cc", "gcc", "clang"), "gcc", "to build the stand-in server once"),
    _Program(("ip",), "iproute2", "to look into namespaces", required=False),
    _Program(("mkfs.ext4",), "e2fsprogs", "to format volumes of a size that is enforced", required=False),
    _Program(("skopeo",), "skopeo", "to load and pull images", required=False),
    _Program(("umoci",), "umoci", "to unpack images", required=False),
    _Program(("conntrack",), "conntrack", "to forget stale UDP connections", required=False),
    _Program(("tcpdump",), "tcpdump", "to look at packets", required=False),
    _Program(("wget",), "wget", "for containers that call it", required=False),
    _Program(("busybox",), "busybox-static", "for what containers call: nslookup and the like", required=False),
)


def root() -> Check:
    """Whether the caller is root with the capabilities that root has by default."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    missing = [
        name
        for name, bit in (("CAP_NET_ADMIN", _CAP_NET_ADMIN), ("CAP_SYS_ADMIN", _CAP_SYS_ADMIN))
        if not effective >> bit & 1
    ]
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    found = f"{user} without {' and '.join(missing)}" if missing else user
    remedy = "run it with sudo" if os.geteuid() else "run it outside of the container, or give the container these"
    return Check("root", not missing and os.geteuid() == 0, found, "root", remedy)


def programs() -> list[Check]:
    """A check for each program."""
    return [_check(program) for program in _PROGRAMS]


def _check(program: _Program) -> Check:
    found = next((path for name in program.names if (path := shutil.which(name, path=PATH))), None)
    name = " or ".join(program.names[:2]) if program.package == "crun" else program.names[0]
    return Check(
        name=name,
        ok=found is not None,
        found=found or "not installed",
        needed=program.purpose,
        remedy=f"apt install {program.package}",
        required=program.required,
    )
