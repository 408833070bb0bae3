"""PodSecurity: the levels that a namespace's labels ask for.

`enforce` refuses pods, `warn` warns about pods and about whatever makes them; `audit` would need an
audit log. What runs already is only told of when the label changes. Whatever version a label names,
the checks are the latest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from controlplane.api.errors import FieldError, Invalid
from controlplane.api.field import invalid
from controlplane.api.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    POD_TEMPLATE,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from controlplane.api.podsecurity import LEVELS, PRIVILEGED, sentence, violations
from controlplane.api.types import Kind, Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.\d+")

_TEMPLATES: dict[Kind, tuple[str, ...]] = {
    CRON_JOB: ("spec", "jobTemplate", "spec", "template"),
    DAEMON_SET: ("spec", "template"),
    DEPLOYMENT: ("spec", "template"),
    JOB: ("spec", "template"),
    POD_TEMPLATE: ("template",),
    REPLICA_SET: ("spec", "template"),
    REPLICATION_CONTROLLER: ("spec", "template"),
    STATEFUL_SET: ("spec", "template"),
}
"""Where each kind that makes pods has its template."""


class PodSecurity:
    def check(self, request: Attributes, store: Store) -> None:
        if request.operation == "DELETE":
            return
        if request.kind is NAMESPACE and not request.subresource:
            _check_namespace(request, store)
        elif request.kind is POD and _matters(request):
            _check_pod(request, store)
        elif request.kind in _TEMPLATES and not request.subresource and request.options.warned:
            _check_template(request, store)


def _matters(request: Attributes) -> bool:
    """An update of a pod changes nothing that is checked, but for containers that are put in later."""
    return request.operation == "CREATE" or request.subresource == "ephemeralcontainers"


def _labels(request: Attributes, store: Store) -> Mapping[str, str]:
    """The labels of the request's namespace that are about pod security: for most there are none."""
    found = store.latest(Key(NAMESPACE.resource, "", request.namespace))
    labels: Mapping[str, str] = found.document["metadata"].get("labels", {}) if found is not None else {}
    return {key: value for key, value in labels.items() if key.startswith(PREFIX)}


def _level(labels: Mapping[str, str], mode: str) -> str:
    level = labels.get(PREFIX + mode, PRIVILEGED)
    return level if level in LEVELS else LEVELS[-1]


def _shown(labels: Mapping[str, str], mode: str) -> str:
    """Level and version as texts name them: "restricted:latest"."""
    return f"{_level(labels, mode)}:{labels.get(f'{PREFIX}{mode}-version', 'latest')}"


def _check_pod(request: Attributes, store: Store) -> None:
    labels = _labels(request, store)
    if not labels:
        return
    metadata, spec = request.obj["metadata"], request.obj.get("spec", {})
    wrong = violations(_level(labels, "enforce"), metadata, spec)
    if wrong:
        why = f'violates PodSecurity "{_shown(labels, "enforce")}": {sentence(wrong)}'
        raise wording.forbidden(POD, request.name, why)
    _warn(request, labels, metadata, spec)


def _check_template(request: Attributes, store: Store) -> None:
    template: Any = request.obj
    for step in _TEMPLATES[request.kind]:
        template = template.get(step, {})
    _warn(request, _labels(request, store), template.get("metadata", {}), template.get("spec", {}))


def _warn(request: Attributes, labels: Mapping[str, str], metadata: Object, spec: Object) -> None:
    wrong = violations(_level(labels, "warn"), metadata, spec)
    if wrong:
        request.options.warn(f'would violate PodSecurity "{_shown(labels, "warn")}": {sentence(wrong)}')


def _check_namespace(request: Attributes, store: Store) -> None:
    labels = request.obj["metadata"].get("labels", {})
    before = request.old["metadata"].get("labels", {}) if request.old is not None else {}
    asked, asked_before = (
        {key: value for key, value in one.items() if key.startswith(PREFIX)} for one in (labels, before)
    )
    if asked == asked_before:
        return
    errors = _wrong_labels(asked)
    if errors:
        raise Invalid.of(NAMESPACE.group, NAMESPACE.name, request.name, errors)
    if request.old is not None and request.options.warned:
        _warn_of_pods(request, labels, before, store)


def _wrong_labels(asked: Mapping[str, str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for mode in MODES:
        level, version = asked.get(PREFIX + mode), asked.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            text = f"must be one of {', '.join(LEVELS)}"
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}]", level, text))
        if version is not None and not _VERSION.fullmatch(version):
            text = 'must be "latest" or "v1.x"'
            errors.append(invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, text))
    return errors


def _warn_of_pods(request: Attributes, labels: Mapping[str, str], before: Mapping[str, str], store: Store) -> None:
    """Tells of pods that run already and would not be let in now, those with the same faults together."""
    level = _level(labels, "enforce")
    if LEVELS.index(level) <= LEVELS.index(_level(before, "enforce")):
        return
    faults: dict[str, list[str]] = {}
    for revision in store.objects(POD.resource, request.name):
        pod = revision.document
        wrong = violations(level, pod["metadata"], pod["spec"])
        if wrong:
            faults.setdefault(", ".join(one.reason for one in wrong), []).append(pod["metadata"]["name"])
    if not faults:
        return
    asked = _shown(labels, "enforce")
    request.options.warn(
        f'existing pods in namespace "{request.name}" violate the new PodSecurity enforce level "{asked}"'
    )
    for reasons, names in sorted(faults.items(), key=lambda one: one[1][0]):
        others = len(names) - 1
        more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
        request.options.warn(f"{names[0]}{more}: {reasons}")
