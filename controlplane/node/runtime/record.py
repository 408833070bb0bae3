"""What is kept about a container beside its bundle, so that a new daemon knows what an old one started.

Only what cannot be read from the kernel, the OCI runtime or conmon is in here, and it never changes
after creation: whether it runs, since when, and how it ended are facts of theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

FILE = "record.json"


@dataclass(frozen=True, slots=True)
class Record:
    """`attempt` counts restarts from 0; `created` is in epoch seconds; `spec_hash` is of the pod's container spec;
    `runtime` is the OCI runtime that made it, "crun" or "runc"; `user` is the number of its user, of its group, and of
    its further groups."""

    id: str
    pod_uid: str
    pod_namespace: str
    pod_name: str
    container: str
    attempt: int
    init: bool
    image: str
    image_id: str
    created: float
    cgroup: str
    log_path: str
    data_dir: str
    termination_path: str
    spec_hash: str
    stop_signal: int = 15
    runtime: str = "crun"
    user: tuple[int, ...] = ()

    def write(self, bundle: Path) -> None:
        """Stores the record in a container's bundle directory."""
        (bundle / FILE).write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, bundle: Path) -> Record | None:
        """The record of a bundle, or None where a killed daemon left none or half of one."""
        try:
            return cls(**orjson.loads((bundle / FILE).read_bytes()))
        except (FileNotFoundError, NotADirectoryError, TypeError, orjson.JSONDecodeError):
            return None
