"""The files that a pod's containers share: /etc/hosts, /etc/hostname, /etc/resolv.conf and /dev/shm.

Contents follow the kubelet: headers of hosts, hostAliases, dnsPolicy and dnsConfig.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node.config import NodeConfig
from controlplane.node.runtime.oci import Mount
from controlplane.node.sandbox import Sandbox

MAX_NAMESERVERS = 3
MAX_SEARCH = 32
SHM = "/dev/shm"
CLUSTER_OPTIONS = ("ndots:5",)
HOST_RESOLV = Path("/etc/resolv.conf")
SYSTEMD_RESOLV = Path("/run/systemd/resolve/resolv.conf")
"""Where the real nameservers are when /etc/resolv.conf only names a stub on the loopback."""


@dataclass(slots=True)
class Dns:
    """The content of a resolv.conf."""

    nameservers: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = []
        if self.searches:
            lines.append("search " + " ".join(self.searches[:MAX_SEARCH]))
        lines += [f"nameserver {address}" for address in self.nameservers[:MAX_NAMESERVERS]]
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def resolv_conf(pod: Object, config: NodeConfig, host: Dns) -> Dns:
    """ClusterFirst when the cluster has a DNS and the pod does not decline; then dnsConfig on top."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    wants = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    if policy == "None":
        dns = Dns()
    elif wants and config.dns_address:
        domain = config.dns_domain
        cluster = [f"{pod['metadata']['namespace']}.svc.{domain}", f"svc.{domain}", domain]
        dns = Dns([config.dns_address], cluster + host.searches, list(CLUSTER_OPTIONS))
    else:
        dns = Dns(list(host.nameservers), list(host.searches), list(host.options))
    return _with_config(dns, spec.get("dnsConfig") or {})


def _with_config(dns: Dns, extra: Object) -> Dns:
    dns.nameservers = list(dict.fromkeys([*dns.nameservers, *(extra.get("nameservers") or [])]))
    dns.searches = list(dict.fromkeys([*dns.searches, *(extra.get("searches") or [])]))
    options = {option.split(":", 1)[0]: option for option in dns.options}
    for option in extra.get("options") or []:
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    dns.options = list(options.values())
    return dns


def host_dns() -> Dns:
    """The host's own resolver settings, past a stub on its loopback, which no pod could reach."""
    try:
        return _host_dns(HOST_RESOLV.stat().st_mtime_ns)
    except FileNotFoundError:
        return Dns()


@functools.lru_cache(maxsize=1)
def _host_dns(_changed: int) -> Dns:
    found = _parse(HOST_RESOLV)
    if any(address.startswith("127.") for address in found.nameservers) and SYSTEMD_RESOLV.exists():
        return _parse(SYSTEMD_RESOLV)
    return found


def _parse(path: Path) -> Dns:
    dns = Dns()
    for line in path.read_text().splitlines() if path.exists() else []:
        word, _, rest = line.partition(" ")
        if word == "nameserver":
            dns.nameservers.append(rest.strip())
        elif word in ("search", "domain"):
            dns.searches = rest.split()
        elif word == "options":
            dns.options += rest.split()
    return dns


def hosts(pod: Object, sandbox: Sandbox, domain: str) -> str:
    """The content of /etc/hosts."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        lines = ["# Kubernetes-managed hosts file (host network).", "127.0.0.1\tlocalhost"]
    else:
        lines = [
            "# Kubernetes-managed hosts file.",
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::0\tip6-localnet",
            "fe00::0\tip6-mcastprefix",
            "fe00::1\tip6-allnodes",
            "fe00::2\tip6-allrouters",
        ]
        for address in sandbox.addresses:
            names = [sandbox.hostname]
            if spec.get("subdomain") and not spec.get("hostnameOverride"):
                full = f"{sandbox.hostname}.{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{domain}"
                names = [full, sandbox.hostname]
            lines.append("\t".join([address, *names]))
    aliases = spec.get("hostAliases") or []
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join([alias["ip"], *(alias.get("hostnames") or [])]) for alias in aliases]
    return "".join(f"{line}\n" for line in lines)


def ensure(pod: Object, sandbox: Sandbox, config: NodeConfig) -> None:
    """Writes the files into the sandbox's directory, unless they are there: a container may have changed them."""
    path = sandbox.path
    if (path / "resolv.conf").exists():
        return
    (path / "hosts").write_text(hosts(pod, sandbox, config.dns_domain))
    (path / "hostname").write_text(sandbox.nodename + "\n")
    shm = path / "shm"
    shm.mkdir(exist_ok=True)
    shm.chmod(0o1777)
    # The last one, by rename: where it is, all are.
    fresh = path / "resolv.conf.new"
    fresh.write_text(resolv_conf(pod, config, host_dns()).text())
    fresh.rename(path / "resolv.conf")


def mounts(sandbox: Sandbox) -> list[Mount]:
    """The mounts of these files, for every container of the pod."""
    path = sandbox.path
    files = [Mount(str(path / name), f"/etc/{name}", recursive=False) for name in ("hosts", "hostname", "resolv.conf")]
    return [*files, Mount(str(path / "shm"), SHM, options=("nosuid", "nodev", "noexec"))]
