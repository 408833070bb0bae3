"""Containers and init containers: defaults and validation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import (
    duplicate,
    forbidden,
    invalid,
    invalid_each,
    not_found,
    not_supported,
    required,
    too_many,
)
from controlplane.api.rules.environment import default_env, validate_env, validate_env_from
from controlplane.api.rules.paths import descending_path
from controlplane.api.rules.probes import PROBES, default_handler, default_probe, validate_probes
from controlplane.api.rules.profiles import validate_profiles
from controlplane.api.rules.resources import validate_resources

Fields = dict[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
CONTAINER_POLICIES = ("Always", "Never", "OnFailure")
MOST_RESTART_RULES = 20
LARGEST_ID = 2**32 - 1
NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"


def default_container(container: Fields) -> None:
    """Fills in what a container of a pod or of a template does not say."""
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if is_latest(container.get("image", "")) else "IfNotPresent"
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    container.setdefault("resources", {})
    for port in container.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    if "env" in container:
        default_env(container["env"])
    for name in PROBES:
        if name in container:
            default_probe(container[name])
    for handler in container.get("lifecycle", {}).values():
        if isinstance(handler, dict):
            default_handler(handler)


def is_latest(image: str) -> bool:
    """Whether an image reference means the tag "latest", said or not."""
    if "@" in image:
        return False
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return tag == "latest" or not colon


def validate_containers(spec: Fields, path: str, volumes: set[str]) -> list[FieldError]:
    """Every error in `containers` and `initContainers` of `spec`; `volumes` are the names that exist."""
    containers = spec.get("containers")
    if not containers:
        return [required(f"{path}.containers")]
    errors: list[FieldError] = []
    taken: set[str] = set()
    grace = spec["terminationGracePeriodSeconds"]
    for index, container in enumerate(containers):
        inner = f"{path}.containers[{index}]"
        errors += _validate_common(container, inner, volumes)
        errors += _validate_unique(container, inner, taken)
        errors += validate_probes(container, inner, grace)
    errors += _validate_host_ports(containers, f"{path}.containers")
    for index, container in enumerate(spec.get("initContainers", ())):
        inner = f"{path}.initContainers[{index}]"
        errors += _validate_common(container, inner, volumes)
        errors += _validate_unique(container, inner, taken)
        errors += _validate_init(container, inner, grace)
    if "ephemeralContainers" in spec:
        errors += _validate_ephemeral(spec["ephemeralContainers"], f"{path}.ephemeralContainers", taken, volumes)
    return errors


def _validate_ephemeral(
    containers: Iterable[Fields], path: str, taken: set[str], volumes: set[str]
) -> list[FieldError]:
    errors: list[FieldError] = []
    targets = frozenset(taken)
    for index, container in enumerate(containers):
        inner = f"{path}[{index}]"
        errors += _validate_common(container, inner, volumes)
        errors += _validate_unique(container, inner, taken)
        if container.get("restartPolicy"):
            errors.append(forbidden(f"{inner}.restartPolicy", "may not be set for ephemeral containers"))
        target = container.get("targetContainerName")
        if target and target not in targets:
            errors.append(not_found(f"{inner}.targetContainerName", target))
        errors += [
            forbidden(f"{inner}.{name}", NOT_EPHEMERAL)
            for name in ("ports", "resources", "resizePolicy", *PROBES, "lifecycle")
            if container.get(name)
        ]
        for number, mount in enumerate(container.get("volumeMounts", ())):
            place = f"{inner}.volumeMounts[{number}]"
            errors += [
                forbidden(f"{place}.{name}", NOT_EPHEMERAL) for name in ("subPath", "subPathExpr") if mount.get(name)
            ]
    return errors


def _validate_common(container: Fields, path: str, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    name = container.get("name")
    if not name:
        errors.append(required(f"{path}.name"))
    else:
        errors += invalid_each(f"{path}.name", name, names.dns1123_label(name))
    image = container.get("image")
    if not image:
        errors.append(required(f"{path}.image"))
    elif image != image.strip():
        errors.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    if container["terminationMessagePolicy"] not in MESSAGE_POLICIES:
        policy = container["terminationMessagePolicy"]
        errors.append(not_supported(f"{path}.terminationMessagePolicy", policy, MESSAGE_POLICIES))
    if "ports" in container:
        errors += _validate_ports(container["ports"], f"{path}.ports")
    if "env" in container:
        errors += validate_env(container["env"], f"{path}.env")
    if "envFrom" in container:
        errors += validate_env_from(container["envFrom"], f"{path}.envFrom")
    if ".." in container.get("workingDir", "").split("/"):
        errors.append(invalid(f"{path}.workingDir", container["workingDir"], "must not contain '..'"))
    if "volumeMounts" in container:
        errors += _validate_mounts(container["volumeMounts"], f"{path}.volumeMounts", volumes)
    if container["imagePullPolicy"] not in PULL_POLICIES:
        errors.append(not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], PULL_POLICIES))
    if container["resources"]:
        errors += validate_resources(container["resources"], f"{path}.resources")
    if "securityContext" in container:
        errors += _validate_security(container["securityContext"], f"{path}.securityContext")
    if "restartPolicy" in container or "restartPolicyRules" in container:
        errors += _validate_restarts(container, path)
    return errors


def _validate_restarts(container: Fields, path: str) -> list[FieldError]:
    """restartPolicy of a container, and the rules over it."""
    errors: list[FieldError] = []
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is not None and policy not in CONTAINER_POLICIES:
        errors.append(not_supported(f"{path}.restartPolicy", policy, CONTAINER_POLICIES))
    if rules and policy is None:
        errors.append(required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"))
    if len(rules) > MOST_RESTART_RULES:
        errors.append(too_many(f"{path}.restartPolicyRules", len(rules), MOST_RESTART_RULES))
    for index, rule in enumerate(rules):
        place = f"{path}.restartPolicyRules[{index}]"
        if rule.get("action") != "Restart":
            errors.append(not_supported(f"{place}.action", rule.get("action") or "", ("Restart",)))
        codes = rule.get("exitCodes")
        if codes is None:
            errors.append(required(f"{place}.exitCodes", "must be specified"))
        elif codes.get("operator") not in ("In", "NotIn"):
            errors.append(not_supported(f"{place}.exitCodes.operator", codes.get("operator") or "", ("In", "NotIn")))
    return errors


def _validate_unique(container: Fields, path: str, taken: set[str]) -> list[FieldError]:
    name = container.get("name", "")
    if name in taken:
        return [duplicate(f"{path}.name", name)]
    if name:
        taken.add(name)
    return []


def _validate_init(container: Fields, path: str, grace: int) -> list[FieldError]:
    """Init containers run to their end, unless `restartPolicy: Always` makes them sidecars."""
    if container.get("restartPolicy") == "Always":
        return validate_probes(container, path, grace)
    return [
        forbidden(f"{path}.{name}", "may not be set for init containers without restartPolicy=Always")
        for name in ("lifecycle", *PROBES)
        if name in container
    ]


def _validate_ports(ports: Iterable[Fields], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, port in enumerate(ports):
        inner = f"{path}[{index}]"
        name = port.get("name")
        if name:
            wrong = names.port_name(name)
            errors += invalid_each(f"{inner}.name", name, wrong)
            if not wrong and name in taken:
                errors.append(duplicate(f"{inner}.name", name))
            taken.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            errors.append(required(f"{inner}.containerPort"))
        else:
            errors += invalid_each(f"{inner}.containerPort", number, names.port_number(number))
        if port.get("hostPort"):
            errors += invalid_each(f"{inner}.hostPort", port["hostPort"], names.port_number(port["hostPort"]))
        if port["protocol"] not in PROTOCOLS:
            errors.append(not_supported(f"{inner}.protocol", port["protocol"], PROTOCOLS))
    return errors


def _validate_host_ports(containers: Iterable[Fields], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[tuple[str, str, int]] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports", ())):
            host_port = port.get("hostPort", 0)
            key = (port["protocol"], port.get("hostIP", ""), host_port)
            if host_port and key in taken:
                shown = "/".join(str(part) for part in key)
                errors.append(duplicate(f"{path}[{index}].ports[{number}].hostPort", shown))
            taken.add(key)
    return errors


def _validate_mounts(mounts: Iterable[Fields], path: str, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        inner = f"{path}[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{inner}.name"))
        if name not in volumes:
            errors.append(not_found(f"{inner}.name", name))
        if not target:
            errors.append(required(f"{inner}.mountPath"))
        if target in taken:
            errors.append(invalid(f"{inner}.mountPath", target, "must be unique"))
        taken.add(target)
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                errors += descending_path(mount[field], f"{inner}.{field}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            errors.append(
                invalid(f"{inner}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
            )
    return errors


def _validate_security(context: Fields, path: str) -> list[FieldError]:
    errors = validate_profiles(context, path)
    for name in ("runAsUser", "runAsGroup"):
        value = context.get(name)
        if value is not None and not 0 <= value <= LARGEST_ID:
            errors.append(invalid(f"{path}.{name}", value, names.in_range(0, LARGEST_ID)))
    if context.get("procMount") not in (None, "Default", "Unmasked"):
        errors.append(not_supported(f"{path}.procMount", context["procMount"], ("Default", "Unmasked")))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, context, text))
        if "CAP_SYS_ADMIN" in context.get("capabilities", {}).get("add", ()):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid(path, context, text))
    return errors
