"""configMap, secret, downwardAPI and projected: files made of API objects, kept up to date."""

from __future__ import annotations

from pathlib import Path

from controlplane.api.kinds import CONFIG_MAP, SECRET
from controlplane.api.types import Kind, Object
from controlplane.node.errors import ConfigFailure, VolumeFailure
from controlplane.node.values import decoded, pod_field, resource_field
from controlplane.node.volumes import atomic
from controlplane.node.volumes.atomic import File
from controlplane.node.volumes.context import VolumeContext

DEFAULT_MODE = 0o644
_KEY_OF = {CONFIG_MAP.singular: "config", SECRET.singular: "secret"}


async def config_map(volume: Object, context: VolumeContext) -> Path:
    source = volume["configMap"]
    return await _write(volume, context, await _object(CONFIG_MAP, source, source["name"], context, source))


async def secret(volume: Object, context: VolumeContext) -> Path:
    source = volume["secret"]
    return await _write(volume, context, await _object(SECRET, source, source["secretName"], context, source))


async def downward_api(volume: Object, context: VolumeContext) -> Path:
    source = volume["downwardAPI"]
    return await _write(volume, context, _downward(source, context, source.get("defaultMode", DEFAULT_MODE)))


async def setup(volume: Object, context: VolumeContext) -> Path:
    """A projected volume: the union of its sources."""
    files: dict[str, File] = {}
    projected = volume["projected"]
    mode = projected.get("defaultMode", DEFAULT_MODE)
    for source in projected.get("sources") or []:
        files |= await _source(source, context, mode)
    return await _write(volume, context, files)


async def _source(source: Object, context: VolumeContext, mode: int) -> dict[str, File]:
    defaults = {"defaultMode": mode}
    if "configMap" in source:
        part = source["configMap"]
        return await _object(CONFIG_MAP, part, part["name"], context, defaults)
    if "secret" in source:
        part = source["secret"]
        return await _object(SECRET, part, part["name"], context, defaults)
    if "downwardAPI" in source:
        return _downward(source["downwardAPI"], context, mode)
    if "serviceAccountToken" in source:
        part = source["serviceAccountToken"]
        token = await context.tokens(context.pod, part)
        return {part["path"]: File(token.encode(), mode)}
    raise VolumeFailure(f"projected volume source {', '.join(sorted(source))} is not supported")


async def _object(kind: Kind, part: Object, name: str, context: VolumeContext, owner: Object) -> dict[str, File]:
    namespace, optional = context.pod["metadata"]["namespace"], bool(part.get("optional"))
    mode = owner.get("defaultMode", DEFAULT_MODE)
    obj = await context.sources.find(kind, namespace, name)
    if obj is None:
        if optional:
            return {}
        raise VolumeFailure(f'{kind.singular} "{name}" not found')
    data, items = decoded(obj), part.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not optional:
        raise VolumeFailure(f"references non-existent {_KEY_OF[kind.singular]} key: {missing[0]}")
    return {item["path"]: File(data[item["key"]], item.get("mode", mode)) for item in items if item["key"] in data}


def _downward(source: Object, context: VolumeContext, mode: int) -> dict[str, File]:
    files = {}
    for item in source.get("items") or []:
        try:
            if "fieldRef" in item:
                text = pod_field(context.pod, item["fieldRef"]["fieldPath"], context.addresses)
            else:
                text = resource_field(context.pod, {}, item["resourceFieldRef"], context.allocatable)
        except ConfigFailure as error:
            raise VolumeFailure(str(error)) from error
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files


async def _write(volume: Object, context: VolumeContext, files: dict[str, File]) -> Path:
    path = Path(context.memory, volume["name"])
    await context.spawner.files(atomic.write, path, files, context.fs_group)
    return path
