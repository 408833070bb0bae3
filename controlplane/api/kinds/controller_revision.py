"""ControllerRevisions: immutable snapshots that controllers keep for rollbacks."""

from __future__ import annotations

from controlplane.api.types import Kind

CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    name="ControllerRevision",
    plural="controllerrevisions",
    definition="io.k8s.api.apps.v1.ControllerRevision",
)
