"""How long the failed pods of Jobs wait for their successors. Kept in memory only, as upstream keeps it."""

from __future__ import annotations

from controlplane.api.types import Object
from controlplane.controllers.job_pods import failed_at, failures_of
from controlplane.controllers.job_tally import Tally

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 10.0, 600.0


class JobBackoff:
    """Pauses of all Jobs by uid; `first` is the shortest, in seconds."""

    def __init__(self, first: float) -> None:
        self._first = first
        self._failures: dict[str, tuple[int, float]] = {}

    def forget(self, uid: str) -> None:
        """Lets go of a Job that has ended or is gone."""
        self._failures.pop(uid, None)

    def of_job(self, tally: Tally, now: float) -> float:
        """The seconds before a failed pod may be replaced, doubling with each failure since the last success."""
        uid = tally.job["metadata"]["uid"]
        count, last = self._failures.get(uid, (0, 0.0))
        if tally.newly_succeeded:
            count = 0
        if tally.newly_failed:
            count, last = count + len(tally.newly_failed), now
        if count == 0:
            self._failures.pop(uid, None)
            return 0.0
        self._failures[uid] = (count, last)
        return self._pause(count) - (now - last)

    def of_index(self, pod: Object, now: float) -> float:
        """The seconds before the index of a failed pod may be tried again, doubling with each of its failures."""
        return self._pause(failures_of(pod)) - (now - failed_at(pod, now))

    def _pause(self, failures: int) -> float:
        return min(self._first * 2.0 ** min(failures - 1, 16), LONGEST_BACKOFF_SECONDS)
