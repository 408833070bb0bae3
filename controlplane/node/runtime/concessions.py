"""What this machine does not let the OCI runtime do, as its refusals have shown, and containers go without.

Not asked beforehand: whether it is allowed depends on rights, on the kernel and on what surrounds the daemon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

LOWEST_OOM_SCORE = -1000
DEVICE_PROGRAM_WORDS = ("memlock", "bpf")
"""In what crun and runc say where device rules, on cgroup v2 an eBPF program, are not allowed."""
OOM_SCORE_WORD = "oom_score_adj"
"""In what they say where a process may not be spared more than its parent is, which takes CAP_SYS_RESOURCE."""


@dataclass(frozen=True, slots=True)
class Concessions:
    """Whether containers have device rules, and the lowest oom_score_adj that they may be given."""

    device_rules: bool = True
    lowest_oom_score: int = LOWEST_OOM_SCORE

    def after(self, said: str) -> Concessions | None:
        """What to try next when the runtime `said` that about an attempt under these; None if nothing would help."""
        words = said.lower()
        if OOM_SCORE_WORD in words:
            own = own_oom_score()
            return replace(self, lowest_oom_score=own) if own > self.lowest_oom_score else None
        if self.device_rules and any(word in words for word in DEVICE_PROGRAM_WORDS):
            return replace(self, device_rules=False)
        return None

    def joined(self, other: Concessions) -> Concessions:
        """What both concede."""
        return Concessions(self.device_rules and other.device_rules, max(self.lowest_oom_score, other.lowest_oom_score))

    def words(self) -> str:
        """For the daemon's log."""
        said = [] if self.device_rules else ["without device rules and without CAP_MKNOD"]
        if self.lowest_oom_score > LOWEST_OOM_SCORE:
            said.append(f"with no oom_score_adj below {self.lowest_oom_score}")
        return f"containers run {' and '.join(said)}"


def own_oom_score() -> int:
    """This process's oom_score_adj, which what it starts may always have."""
    return int(Path("/proc/self/oom_score_adj").read_text())
