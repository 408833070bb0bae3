"""Bare containers, as a reference: `crun run` of busybox, and nothing that manages it.

Run as a program of its own, because crun refuses hosts on which cgroup v1 and v2 are both mounted: it gets a mount
namespace without the v2 mount. Each container has its own pid, mount, uts, ipc and network namespaces, as a pod has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

LIMIT_SECONDS = 120
PARALLEL = 2
CGROUP = "/bench-bare"
_WITHOUT_V2 = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"'


@dataclass(frozen=True, slots=True)
class Bare:
    """Times in seconds; memory in KiB, of one container's process."""

    one: float
    """The median of starting one after the other."""
    all: float
    """Starting all of them, as many at once as there are cores."""
    delete: float
    """Killing and deleting all of them."""
    rss: float
    pss: float


def measure(count: int) -> Bare:
    """Starts and deletes `count` containers in a program of its own. Needs root, crun and busybox."""
    argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _WITHOUT_V2, "sh"]
    argv += [sys.executable, "-m", "bench.bare", str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"bare containers failed:\n{done.stderr}")
    return Bare(**json.loads(done.stdout))


def memory(pid: int) -> tuple[int, int]:
    """Resident and proportional memory of a process in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return fields["Rss"], fields["Pss"]


def _measure_here(count: int) -> Bare:
    with tempfile.TemporaryDirectory(prefix="bench-bare-") as scratch:
        bundles = [_bundle(Path(scratch) / str(number)) for number in range(count)]
        state = Path(scratch) / "state"
        try:
            singles = sorted(_timed(lambda b=bundle: _run(state, b)) for bundle in bundles[: min(count, 10)])
            _delete_all(state, bundles[: len(singles)])
            began = time.monotonic()
            with ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(lambda bundle: _run(state, bundle), bundles))
            together = time.monotonic() - began
            rss, pss = memory(int((bundles[0] / "pid").read_text()))
        finally:
            deleting = _timed(lambda: _delete_all(state, bundles))
            _remove_cgroups()
        return Bare(singles[len(singles) // 2], together, deleting, rss, pss)


def _bundle(path: Path) -> Path:
    binaries = path / "rootfs/bin"
    binaries.mkdir(parents=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RuntimeError("no program busybox; install the package busybox-static")
    shutil.copy(busybox, binaries / "busybox")
    subprocess.run(["crun", "spec"], cwd=path, check=True, timeout=10)
    config = json.loads((path / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/busybox", "sleep", "3600"]
    config["linux"]["cgroupsPath"] = f"{CGROUP}/{path.name}"
    (path / "config.json").write_text(json.dumps(config))
    return path


def _run(state: Path, bundle: Path) -> None:
    argv = ["crun", "--root", str(state), "--cgroup-manager", "cgroupfs", "run", "--detach"]
    argv += ["--pid-file", str(bundle / "pid"), "--bundle", str(bundle), f"bare-{bundle.name}"]
    subprocess.run(argv, check=True, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _delete_all(state: Path, bundles: list[Path]) -> None:
    def delete(bundle: Path) -> None:
        argv = ["crun", "--root", str(state), "delete", "--force", f"bare-{bundle.name}"]
        subprocess.run(argv, check=False, timeout=30, capture_output=True)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(delete, bundles))


def _remove_cgroups() -> None:
    root = Path("/sys/fs/cgroup")
    # Where the v2 mount was taken away, crun leaves plain files in the directory under it.
    shutil.rmtree(root / f"unified{CGROUP}", ignore_errors=True)
    for top in (root / CGROUP[1:], *root.glob(f"*{CGROUP}")):
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)


def _timed(work: object) -> float:
    assert callable(work)
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure_here(int(sys.argv[1])))))
