"""Pod specs, in pods and in templates: defaults and validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.rules.containers import default_container, validate_containers
from controlplane.api.rules.profiles import validate_profiles
from controlplane.api.rules.scheduling import validate_affinity, validate_spread, validate_tolerations
from controlplane.api.rules.volumes import default_volume, validate_volumes

Fields = dict[str, Any]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
LARGEST_INT32 = 2**31 - 1
DEFAULT_GRACE_SECONDS = 30


def default_spec(spec: Fields) -> None:
    """Fills in what a pod spec does not say."""
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = spec.get("serviceAccountName") or spec["serviceAccount"]
    for name in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(name, ()):
            default_container(container)
            if spec.get("hostNetwork"):
                for port in container.get("ports", ()):
                    port.setdefault("hostPort", port.get("containerPort", 0))
    for volume in spec.get("volumes", ()):
        default_volume(volume)


def validate_spec(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    """Every error in a defaulted pod spec, in upstream's order."""
    fields = dict(spec)
    volumes, errors = validate_volumes(spec.get("volumes", ()), f"{path}.volumes")
    errors += validate_containers(fields, path, volumes)
    if spec.get("hostNetwork"):
        errors += _validate_host_network(spec.get("containers", ()), f"{path}.containers")
    if spec["restartPolicy"] not in RESTART_POLICIES:
        errors.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], RESTART_POLICIES))
    if spec["dnsPolicy"] not in DNS_POLICIES:
        errors.append(not_supported(f"{path}.dnsPolicy", spec["dnsPolicy"], DNS_POLICIES))
    if "nodeSelector" in spec:
        errors += meta.validate_labels(spec["nodeSelector"], f"{path}.nodeSelector")
    if spec["securityContext"]:
        errors += _validate_security(spec["securityContext"], f"{path}.securityContext")
    for index, reference in enumerate(spec.get("imagePullSecrets", ())):
        if not reference.get("name"):
            errors.append(required(f"{path}.imagePullSecrets[{index}].name"))
    if "affinity" in spec:
        errors += validate_affinity(spec["affinity"], f"{path}.affinity")
    errors += _validate_dns(spec, path)
    for index, gate in enumerate(spec.get("readinessGates", ())):
        name = gate.get("conditionType", "")
        errors += invalid_each(f"{path}.readinessGates[{index}].conditionType", name, names.label_key(name))
    if "topologySpreadConstraints" in spec:
        errors += validate_spread(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    return errors + _validate_names(spec, path)


def _validate_names(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, check in (("serviceAccountName", names.dns1123_subdomain), ("nodeName", names.dns1123_subdomain)):
        if spec.get(name):
            errors += invalid_each(f"{path}.{name}", spec[name], check(spec[name]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= LARGEST_INT32:
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, names.in_range(1, LARGEST_INT32)))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            errors += invalid_each(f"{path}.{name}", spec[name], names.dns1123_label(spec[name]))
    if "tolerations" in spec:
        errors += validate_tolerations(spec["tolerations"], f"{path}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases", ())):
        errors += _validate_alias(alias, f"{path}.hostAliases[{index}]")
    if spec.get("priorityClassName"):
        name = spec["priorityClassName"]
        errors += invalid_each(f"{path}.priorityClassName", name, names.dns1123_subdomain(name))
    return errors


def _validate_alias(alias: Mapping[str, Any], path: str) -> list[FieldError]:
    errors = invalid_each(f"{path}.ip", alias.get("ip", ""), names.ip_address(alias.get("ip", "")))
    for index, hostname in enumerate(alias.get("hostnames", ())):
        errors += invalid_each(f"{path}.hostnames[{index}]", hostname, names.dns1123_subdomain(hostname))
    return errors


def _validate_host_network(containers: Iterable[Mapping[str, Any]], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports", ())):
            if port.get("hostPort") != port.get("containerPort"):
                text = "must match `hostPort` when `hostNetwork` is true"
                inner = f"{path}[{index}].ports[{number}].containerPort"
                errors.append(invalid(inner, port.get("containerPort", 0), text))
    return errors


def _validate_security(context: Mapping[str, Any], path: str) -> list[FieldError]:
    errors = validate_profiles(context, path)
    limit = LARGEST_INT32
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        value = context.get(name)
        if value is not None and not 0 <= value <= limit:
            errors.append(invalid(f"{path}.{name}", value, names.in_range(0, limit)))
    for index, group in enumerate(context.get("supplementalGroups", ())):
        if not 0 <= group <= limit:
            errors.append(invalid(f"{path}.supplementalGroups[{index}]", group, names.in_range(0, limit)))
    taken: set[str] = set()
    for index, sysctl in enumerate(context.get("sysctls", ())):
        name = sysctl.get("name", "")
        if not name:
            errors.append(required(f"{path}.sysctls[{index}].name"))
        elif name in taken:
            errors.append(duplicate(f"{path}.sysctls[{index}].name", name))
        taken.add(name)
    return errors


def _validate_dns(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    config = spec.get("dnsConfig")
    if spec["dnsPolicy"] == "None" and not (config and config.get("nameservers")):
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        where = f"{path}.dnsConfig.nameservers" if config else f"{path}.dnsConfig"
        return [required(where, text if config else "must provide `dnsConfig` when `dnsPolicy` is None")]
    errors: list[FieldError] = []
    for index, server in enumerate((config or {}).get("nameservers", ())):
        errors += invalid_each(f"{path}.dnsConfig.nameservers[{index}]", server, names.ip_address(server))
    if config and len(config.get("nameservers", ())) > 3:
        errors.append(
            invalid(f"{path}.dnsConfig.nameservers", config["nameservers"], "must not have more than 3 nameservers")
        )
    for index, option in enumerate((config or {}).get("options", ())):
        if not option.get("name"):
            errors.append(required(f"{path}.dnsConfig.options[{index}]", "must not be empty"))
    return errors


def default_template(template: Fields) -> None:
    """Fills in what a pod template does not say."""
    template.setdefault("metadata", {})
    default_spec(template.setdefault("spec", {}))


def validate_template(template: Fields, path: str) -> list[FieldError]:
    """Every error in a defaulted pod template."""
    metadata = template["metadata"]
    errors: list[FieldError] = []
    if "labels" in metadata:
        errors += meta.validate_labels(metadata["labels"], f"{path}.labels")
    if "annotations" in metadata:
        errors += meta.validate_annotations(metadata["annotations"], f"{path}.annotations")
    errors += validate_spec(template["spec"], f"{path}.spec")
    if template["spec"].get("ephemeralContainers"):
        errors.append(forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
    return errors
