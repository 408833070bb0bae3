"""The volumes of a pod, before its first container starts: each is tried, and what is wrong with each is told as the
kubelet tells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from controlplane.client.recorder import EventRecorder
from controlplane.node import volumes
from controlplane.node.errors import VolumeFailure, VolumeWait
from controlplane.node.state import PodState
from controlplane.node.volumes.context import VolumeContext

MOUNT_SECONDS = 123.0
"""As the kubelet: so long a pod's volumes may take before that is said."""


async def ensure(state: PodState, context: VolumeContext, recorder: EventRecorder, now: float) -> bool:
    """Makes the volumes of a pod; whether all are there. `now` is in seconds."""
    # Cleared first: what changes while this works makes it due again.
    state.volumes_due = False
    failures: dict[str, VolumeFailure] = {}
    for volume in state.pod["spec"].get("volumes") or ():
        try:
            state.volumes[volume["name"]] = await volumes.setup(volume, context)
        except VolumeFailure as failure:
            # It was there once: what has gone since does not stop a running pod.
            if volume["name"] not in state.volumes:
                failures[volume["name"]] = failure
    if not failures:
        state.mounting_since = 0.0
        return True
    state.volumes_due = True
    for said in _complaints(failures):
        recorder.event(state.pod, "Warning", "FailedMount", said)
    state.mounting_since = state.mounting_since or now
    if now - state.mounting_since > MOUNT_SECONDS:
        state.mounting_since = now
        recorder.event(state.pod, "Warning", "FailedMount", _timed_out(failures))
    return False


def _complaints(failures: Mapping[str, VolumeFailure]) -> list[str]:
    return [
        str(failure) if failure.whole else f'MountVolume.SetUp failed for volume "{failure.volume or name}" : {failure}'
        for name, failure in failures.items()
        if not isinstance(failure, VolumeWait)
    ]


def _timed_out(failures: Mapping[str, VolumeFailure]) -> str:
    waiting = [name for name, failure in failures.items() if isinstance(failure, VolumeWait)]
    unknown = [name for name, failure in failures.items() if failure.whole]
    return (
        f"Unable to attach or mount volumes: unmounted volumes={_listed(failures)}, unattached volumes="
        f"{_listed(waiting)}, failed to process volumes={_listed(unknown)}: context deadline exceeded"
    )


def _listed(names: Collection[str]) -> str:
    return f"[{' '.join(sorted(names))}]"
