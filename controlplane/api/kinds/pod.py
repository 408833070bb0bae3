"""Pods, and the two kinds that are only ever posted to them."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported, quoted, required
from controlplane.api.kinds.pod_resize import RESIZE
from controlplane.api.printing import pods
from controlplane.api.rules.difference import difference
from controlplane.api.rules.podspec import LARGEST_INT32, default_spec, validate_spec
from controlplane.api.rules.qos import qos_class
from controlplane.api.rules.resources import default_requests
from controlplane.api.types import Kind, Object, Part, Strategy
from controlplane.api.unsupported import pod_warnings

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for name in ("containers", "initContainers"):
        for container in spec.get(name, ()):
            default_requests(container)
    spec.setdefault("enableServiceLinks", True)
    default_spec(spec)


def _prepare_create(obj: Object) -> None:
    obj["metadata"]["generation"] = 1
    obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "status")
    meta.bump_generation(new, old, "spec")


def _prepare_status_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec")
    new["metadata"].pop("deletionTimestamp", None)
    meta.prepare_update(new, old)


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain) + validate_spec(obj["spec"], "spec")
    if obj["spec"].get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    spec, before = new["spec"], old["spec"]
    if spec == before:
        return errors
    errors += validate_spec(spec, "spec")
    for name in ("containers", "initContainers"):
        if len(spec.get(name, ())) != len(before.get(name, ())):
            errors.append(forbidden(f"spec.{name}", "pod updates may not add or remove containers"))
            return errors
    errors += _validate_deadline(spec, before)
    errors += _validate_added_tolerations(spec, before)
    changed = difference(before, _with_changeable(spec, before))
    if changed:
        text = "\n".join(changed)
        errors.append(forbidden("spec", f"pod updates may not change fields other than {CHANGEABLE}\n{text}\n"))
    return errors


def _prepare_ephemeral_update(new: Object, old: Object) -> None:
    metadata, added = new["metadata"], new["spec"].get("ephemeralContainers")
    meta.restore(new, old, "spec", "status")
    new["metadata"] = dict(old["metadata"])
    meta.restore(new["metadata"], metadata, "managedFields")
    new["spec"] = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
    if added:
        new["spec"]["ephemeralContainers"] = added
    meta.bump_generation(new, old, "spec")


def _validate_ephemeral_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + validate_spec(new["spec"], "spec")
    if MIRROR_ANNOTATION in old["metadata"].get("annotations", {}):
        errors.append(forbidden("spec.ephemeralContainers", "static pods do not support ephemeral containers"))
    containers = {one.get("name"): one for one in new["spec"].get("ephemeralContainers", ())}
    for before in old["spec"].get("ephemeralContainers", ()):
        name = before["name"]
        after = containers.get(name)
        if after is None:
            text = f"existing ephemeral containers {quoted(name)} may not be removed\n"
            errors.append(forbidden("spec.ephemeralContainers", text))
        elif after != before:
            lines = "\n".join(difference(before, after))
            text = f"existing ephemeral containers {quoted(name)} may not be changed\n{lines}\n"
            errors.append(forbidden("spec.ephemeralContainers", text))
    return errors


def _validate_deadline(spec: dict[str, Any], before: dict[str, Any]) -> list[FieldError]:
    deadline, earlier = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if earlier is None or deadline == earlier:
        return []
    if deadline is None:
        return [invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")]
    if deadline > min(earlier, LARGEST_INT32):
        return [invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")]
    return []


def _validate_added_tolerations(spec: dict[str, Any], before: dict[str, Any]) -> list[FieldError]:
    def identities(tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in one.items() if key != "tolerationSeconds"} for one in tolerations]

    kept = identities(spec.get("tolerations", []))
    if all(one in kept for one in identities(before.get("tolerations", []))):
        return []
    return [forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _with_changeable(spec: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """`spec` with the fields that an update may change put back to what they were before."""
    munged = dict(spec)
    for name in ("containers", "initContainers"):
        if name in spec:
            munged[name] = [
                one | {"image": other.get("image")} for one, other in zip(spec[name], before[name], strict=True)
            ]
    fields = ["activeDeadlineSeconds", "tolerations"]
    if spec.get("terminationGracePeriodSeconds") == 1 and before.get("terminationGracePeriodSeconds", 0) < 0:
        fields.append("terminationGracePeriodSeconds")
    if _gates(spec) < _gates(before):
        fields += ["schedulingGates", "nodeSelector", "affinity"]
    meta.restore(munged, before, *fields)
    return munged


def _gates(spec: dict[str, Any]) -> set[str]:
    return {gate.get("name", "") for gate in spec.get("schedulingGates", ())}


def _fields(obj: Object) -> dict[str, str]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def _validate_binding(obj: Object) -> list[FieldError]:
    target = obj.get("target", {})
    errors: list[FieldError] = []
    if target.get("kind", "") not in ("", "Node"):
        errors.append(not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        errors.append(required("target.name"))
    return errors


POD = Kind(
    group="",
    version="v1",
    name="Pod",
    plural="pods",
    definition="io.k8s.api.core.v1.Pod",
    short_names=("po",),
    categories=("all",),
    subresources=(
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "resize",
        "status",
    ),
    grace_period=30,
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        prepare_status_update=_prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=pod_warnings,
        parts={"ephemeralcontainers": Part(_prepare_ephemeral_update, _validate_ephemeral_update), "resize": RESIZE},
        fields=_fields,
        columns=pods.COLUMNS,
        row=pods.row,
    ),
)

BINDING = Kind(
    group="",
    version="v1",
    name="Binding",
    plural="bindings",
    definition="io.k8s.api.core.v1.Binding",
    verbs=("create",),
    strategy=Strategy(validate=_validate_binding),
)

EVICTION = Kind(
    group="policy",
    version="v1",
    name="Eviction",
    plural="evictions",
    definition="io.k8s.api.policy.v1.Eviction",
    verbs=("create",),
)
