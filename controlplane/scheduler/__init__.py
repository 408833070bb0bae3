"""The scheduler: gives pods nodes through pods/binding, by filter and score plugins of one file each."""

from __future__ import annotations

from controlplane.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
