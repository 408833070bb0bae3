"""The count of a Job's pods, so kept that each end is counted once, whatever happens in between; pure.

A pod that ended is first named in `status.uncountedTerminatedPods`, then loses its finalizer, and
only then becomes part of `succeeded` or `failed`. Of an Indexed Job the indexes that succeeded are
kept instead, which need no such care.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.job_pods import (
    failures_of,
    format_indexes,
    has_failed,
    index_of,
    is_indexed,
    is_tracked,
    limits_each_index,
    parse_indexes,
)
from controlplane.controllers.job_policy import Reason, verdict
from controlplane.controllers.meta import is_deleting
from controlplane.controllers.pods import condition, is_active, is_ready, is_terminal, phase


class Tally:
    """One reconcile's view of a Job: its pods, the counts, and which pods have to be let go."""

    def __init__(self, job: Object, pods: Sequence[Object]) -> None:
        self.job = job
        self.pods = {pod["metadata"]["uid"]: pod for pod in pods}
        status = job.get("status") or {}
        waiting = status.get("uncountedTerminatedPods") or {}
        self._succeeded: int = status.get("succeeded", 0)
        self._failed: int = status.get("failed", 0)
        self._uncounted_succeeded: list[str] = list(waiting.get("succeeded") or ())
        self._uncounted_failed: list[str] = list(waiting.get("failed") or ())
        self.completed = parse_indexes(status.get("completedIndexes", ""))
        self.failed_indexes = parse_indexes(status.get("failedIndexes", ""))
        self.newly_failed: list[Object] = []
        self.newly_succeeded: list[Object] = []
        self.failure: Reason | None = None
        self._ended: list[Object] = []
        self.count_released(set())
        self._take_in()

    @property
    def active(self) -> list[Object]:
        return [pod for pod in self.pods.values() if is_active(pod)]

    @property
    def terminating(self) -> list[Object]:
        return [pod for pod in self.pods.values() if is_deleting(pod) and not is_terminal(pod)]

    @property
    def succeeded(self) -> int:
        if is_indexed(self.job):
            return len(self.completed)
        return self._succeeded + len(self._uncounted_succeeded)

    @property
    def last_failures(self) -> dict[int, Object]:
        """The pod that failed last, of each index that has neither succeeded nor failed for good."""
        found: dict[int, Object] = {}
        for pod in self.pods.values():
            index = index_of(pod)
            if index is None or not has_failed(self.job, pod) or index in self.completed | self.failed_indexes:
                continue
            if index not in found or failures_of(pod) > failures_of(found[index]):
                found[index] = pod
        return found

    @property
    def failed(self) -> int:
        return self._failed + len(self._uncounted_failed)

    @property
    def to_release(self) -> list[Object]:
        """The pods whose end is in the status, and that still have the finalizer."""
        named = {*self._uncounted_succeeded, *self._uncounted_failed}
        found = [pod for uid, pod in self.pods.items() if uid in named and is_tracked(pod)]
        return [*found, *self._ended]

    def count_released(self, released: set[str]) -> None:
        """Moves the pods that have no finalizer any more, or were `released` now, into the numbers."""

        def is_done(uid: str) -> bool:
            pod = self.pods.get(uid)
            return uid in released or pod is None or not is_tracked(pod)

        done = [uid for uid in self._uncounted_succeeded if is_done(uid)]
        self._succeeded += len(done)
        self._uncounted_succeeded = [uid for uid in self._uncounted_succeeded if uid not in done]
        done = [uid for uid in self._uncounted_failed if is_done(uid)]
        self._failed += len(done)
        self._uncounted_failed = [uid for uid in self._uncounted_failed if uid not in done]

    def status(self, active: int, terminating: int) -> dict[str, Any]:
        """The counts as the status has them."""
        ready = sum(1 for pod in self.active if is_ready(pod)) if active else 0
        uncounted = {"succeeded": self._uncounted_succeeded, "failed": self._uncounted_failed}
        counts: dict[str, Any] = {
            "active": active,
            "succeeded": len(self.completed) if is_indexed(self.job) else self._succeeded,
            "failed": self._failed,
            "completedIndexes": format_indexes(self.completed),
            "failedIndexes": format_indexes(self.failed_indexes),
        }
        return {name: value for name, value in counts.items() if value} | {
            "ready": ready,
            "terminating": terminating,
            "uncountedTerminatedPods": {name: uids for name, uids in uncounted.items() if uids},
        }

    def _take_in(self) -> None:
        """Judges the pods that have ended and are in no count yet."""
        known = {*self._uncounted_succeeded, *self._uncounted_failed}
        for uid, pod in self.pods.items():
            if uid in known or not is_tracked(pod):
                continue
            if phase(pod) == "Succeeded":
                self._take_success(uid, pod)
            elif has_failed(self.job, pod):
                self._take_failure(uid, pod)

    def _take_success(self, uid: str, pod: Object) -> None:
        self.newly_succeeded.append(pod)
        if not is_indexed(self.job):
            self._uncounted_succeeded.append(uid)
            return
        self._ended.append(pod)
        index = index_of(pod)
        if index is not None and index < self.job["spec"].get("completions", 0):
            self.completed.add(index)

    def _take_failure(self, uid: str, pod: Object) -> None:
        action, message = verdict(self.job, pod)
        if action == "Ignore":
            self._ended.append(pod)
            return
        if action == "FailJob" and self.failure is None:
            self.failure = Reason("PodFailurePolicy", message)
        self.newly_failed.append(pod)
        self._uncounted_failed.append(uid)
        index = index_of(pod)
        if not limits_each_index(self.job) or index is None or index >= self.job["spec"].get("completions", 0):
            return
        if condition(self.job, "FailureTarget"):
            # It was ended with its Job.
            return
        if action == "FailIndex" or failures_of(pod) > self.job["spec"]["backoffLimitPerIndex"]:
            self.failed_indexes.add(index)
