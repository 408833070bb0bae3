"""Volumes of pods: defaults and validation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.rules.environment import validate_field_reference
from controlplane.api.rules.paths import descending_path

Fields = dict[str, Any]

DEFAULT_MODE = 0o644
MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"
HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def default_volume(volume: Fields) -> None:
    """A volume without a source is an emptyDir; file modes are 0644."""
    source = next((name for name in volume if name != "name"), None)
    if source is None:
        volume["emptyDir"] = {}
    elif source in ("secret", "configMap", "downwardAPI", "projected"):
        volume[source].setdefault("defaultMode", DEFAULT_MODE)
    elif source == "hostPath":
        volume[source].setdefault("type", "")
    for item in volume.get("downwardAPI", {}).get("items", ()):
        _default_downward(item)
    for projection in volume.get("projected", {}).get("sources", ()):
        if "serviceAccountToken" in projection:
            projection["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        for item in projection.get("downwardAPI", {}).get("items", ()):
            _default_downward(item)


def _default_downward(item: Fields) -> None:
    if "fieldRef" in item:
        item["fieldRef"].setdefault("apiVersion", "v1")


def validate_volumes(volumes: Iterable[Fields], path: str) -> tuple[set[str], list[FieldError]]:
    """The names of the volumes, and every error in them."""
    taken: set[str] = set()
    errors: list[FieldError] = []
    for index, volume in enumerate(volumes):
        inner = f"{path}[{index}]"
        errors += _validate_source(volume, inner)
        name = volume.get("name", "")
        if not name:
            errors.append(required(f"{inner}.name"))
        else:
            errors += invalid_each(f"{inner}.name", name, names.dns1123_label(name))
        if name in taken:
            errors.append(duplicate(f"{inner}.name", name))
        taken.add(name)
    return taken, errors


def _validate_source(volume: Fields, path: str) -> list[FieldError]:
    sources = [name for name in volume if name != "name"]
    if not sources:
        return [required(path, "must specify a volume type")]
    errors = [forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    check = _CHECKS.get(sources[0])
    return (check(volume[sources[0]], f"{path}.{sources[0]}") if check else []) + errors


def _host_path(source: Fields, path: str) -> list[FieldError]:
    target = source.get("path")
    if not target:
        return [required(f"{path}.path")]
    errors: list[FieldError] = []
    if ".." in target.split("/"):
        errors.append(invalid(f"{path}.path", target, "must not contain '..'"))
    if source.get("type") not in HOST_PATH_TYPES:
        errors.append(not_supported(f"{path}.type", source.get("type"), HOST_PATH_TYPES))
    return errors


def _secret(source: Fields, path: str) -> list[FieldError]:
    errors = [] if source.get("secretName") else [required(f"{path}.secretName")]
    return errors + _files(source, path)


def _config_map(source: Fields, path: str) -> list[FieldError]:
    errors = [] if source.get("name") else [required(f"{path}.name")]
    return errors + _files(source, path)


def _files(source: Fields, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for index, item in enumerate(source.get("items", ())):
        inner = f"{path}.items[{index}]"
        if not item.get("key"):
            errors.append(required(f"{inner}.key"))
        errors += _file_path(item, inner)
    return errors


def _file_path(item: Fields, path: str) -> list[FieldError]:
    return _relative_path(item.get("path"), f"{path}.path") + _mode(item.get("mode"), f"{path}.mode")


def _relative_path(target: str | None, path: str) -> list[FieldError]:
    if not target:
        return [required(path)]
    errors = descending_path(target, path)
    if not errors and target.startswith(".."):
        errors.append(invalid(path, target, "must not start with '..'"))
    return errors


def _mode(mode: int | None, path: str) -> list[FieldError]:
    return [] if mode is None or 0 <= mode <= 0o777 else [invalid(path, mode, MODE_TEXT)]


def _downward(source: Fields, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for index, item in enumerate(source.get("items", ())):
        inner = f"{path}.items[{index}]"
        errors += _file_path(item, inner)
        if "fieldRef" in item:
            errors += validate_field_reference(item["fieldRef"], f"{inner}.fieldRef", DOWNWARD_FIELDS)
        elif "resourceFieldRef" not in item:
            errors.append(required(inner, "one of fieldRef and resourceFieldRef is required"))
    return errors


def _projected(source: Fields, path: str) -> list[FieldError]:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for index, projection in enumerate(source.get("sources", ())):
        inner = f"{path}.sources[{index}]"
        for name in list(projection)[1:]:
            errors.append(forbidden(f"{inner}.{name}", "may not specify more than 1 volume type per source"))
        errors += _projection(projection, inner)
    return errors


def _projection(projection: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("secret", "configMap"):
        if name in projection:
            if not projection[name].get("name"):
                errors.append(required(f"{path}.{name}.name"))
            errors += _files(projection[name], f"{path}.{name}")
    if "downwardAPI" in projection:
        errors += _downward(projection["downwardAPI"], f"{path}.downwardAPI")
    token = projection.get("serviceAccountToken")
    if token is not None:
        seconds = token.get("expirationSeconds", 3600)
        if seconds < 600:
            text = "may not specify a duration less than 10 minutes"
            errors.append(invalid(f"{path}.serviceAccountToken.expirationSeconds", seconds, text))
        errors += _relative_path(token.get("path"), f"{path}.serviceAccountToken.path")
    return errors


def _claim(source: Fields, path: str) -> list[FieldError]:
    return [] if source.get("claimName") else [required(f"{path}.claimName")]


def _nfs(source: Fields, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("server", "path") if not source.get(name)]
    if source.get("path") and not source["path"].startswith("/"):
        errors.append(invalid(f"{path}.path", source["path"], "must be an absolute path"))
    return errors


_CHECKS = {
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": _projected,
    "persistentVolumeClaim": _claim,
    "nfs": _nfs,
}
