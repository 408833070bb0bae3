"""Where one cluster keeps its files: what must outlive a reboot, and what must not.

Both directories carry the cluster's name and nothing else of the host is written to, save the
caches that clusters share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netsim.disks import Disks

STATE_ROOT = Path("/var/lib/netsim/clusters")
RUN_ROOT = Path("/run/netsim")
IMAGE_ROOT = Path("/var/lib/netsim/images")
CACHE_ROOT = Path("/var/cache/netsim")
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Directories:
    """The files of the cluster `name`."""

    name: str

    @property
    def state(self) -> Path:
        """Survives reboots; removed by `netsim down`."""
        return STATE_ROOT / self.name

    @property
    def run(self) -> Path:
        """Sockets, bundles and pins; gone after a reboot."""
        return RUN_ROOT / self.name

    def ensure(self) -> None:
        """Makes both directories, for root alone: they hold Secrets, tokens and what containers wrote."""
        for directory in (self.state, self.run):
            directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            directory.chmod(PRIVATE)

    @property
    def database(self) -> Path:
        return self.state / "state.db"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.state / "admin.kubeconfig"

    @property
    def log(self) -> Path:
        """What the daemon prints."""
        return self.state / "daemon.log"

    @property
    def policy_log(self) -> Path:
        """What NetworkPolicies denied, a line a packet."""
        return self.state / "policy.log"

    def node(self, name: str) -> Path:
        """What is at hand of one node while it runs."""
        return self.run / "nodes" / name

    @property
    def pid_file(self) -> Path:
        """Locked by the running daemon; see `controlplane.pidfile`."""
        return self.run / "daemon.pid"

    @property
    def control(self) -> Path:
        """The socket of `controlplane.control`."""
        return self.run / "control.sock"


def volume_disks(state: Path, *, sized: bool = True) -> Disks:
    """The disks of a cluster with that state directory."""
    return Disks(state / "volumes", sized)


def export_disks(state: Path, *, sized: bool = True) -> Disks:
    """What its file servers export."""
    return Disks(state / "exports", sized)
