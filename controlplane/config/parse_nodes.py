"""The fields `spec.nodes` and `spec.nodePools` of cluster.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from controlplane.config.fields import Field, refuse_twice
from controlplane.config.names import NODE_NAME, NODE_NAME_ALLOWED
from controlplane.config.types import NodeConfig, SubnetConfig, numbered_nodes

MAX_NODES = 1000
POOL_LABEL = "cloud.google.com/gke-nodepool"
"""The label by which a node says its pool, as on GKE."""
_POOL_NAME = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_VALUE}"
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_OF_NODES = (
    "subnet",
    "region",
    "labels",
    "taints",
    "tags",
    "machineType",
    "cpu",
    "memory",
    "maxPodsPerNode",
    "podRange",
)


def parse_nodes(field: Field, subnets: Sequence[SubnetConfig]) -> tuple[NodeConfig, ...]:
    """A number of nodes, or each by itself."""
    if field.is_integer():
        return numbered_nodes(field.integer(0, MAX_NODES))
    items = field.items(f"a number from 0 to {MAX_NODES}, or a list of nodes")
    nodes = tuple(_node(item, subnets) for item in items)
    refuse_twice(items, [node.name for node in nodes])
    return nodes


def parse_pools(field: Field, subnets: Sequence[SubnetConfig]) -> tuple[NodeConfig, ...]:
    """The nodes of each pool, `<pool>-1` and on: so many in each of its zones, the zones in turns."""
    items = field.items("a list of node pools")
    pools = [_pool(item, subnets) for item in items]
    refuse_twice(items, [name for name, _ in pools])
    return tuple(node for _, nodes in pools for node in nodes)


def _node(field: Field, subnets: Sequence[SubnetConfig]) -> NodeConfig:
    parts = field.mapping(("name", "zone", *_OF_NODES))
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    name = parts["name"].string(NODE_NAME, allowed=NODE_NAME_ALLOWED)
    subnet = _subnet(parts, subnets)
    zone = _zone(parts["zone"], subnet) if "zone" in parts else None
    return _made(name, parts, subnet, zone, {})


def _pool(field: Field, subnets: Sequence[SubnetConfig]) -> tuple[str, list[NodeConfig]]:
    parts = field.mapping(("name", "nodes", "zones", *_OF_NODES))
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    name = parts["name"].string(_POOL_NAME, allowed="allowed are lower-case letters, digits and '-', at most 40")
    subnet = _subnet(parts, subnets)
    zones: list[str | None] = [None]
    if "zones" in parts:
        zones = [_zone(item, subnet) for item in parts["zones"].items("a list of zones")] or [None]
    count = parts["nodes"].integer(0, MAX_NODES) if "nodes" in parts else 1
    return name, [
        _made(f"{name}-{number + 1}", parts, subnet, zones[number % len(zones)], {POOL_LABEL: name})
        for number in range(count * len(zones))
    ]


def _made(
    name: str, parts: Mapping[str, Field], subnet: SubnetConfig, zone: str | None, labels: Mapping[str, str]
) -> NodeConfig:
    return NodeConfig(
        name=name,
        subnet=subnet.name if parts.keys() & {"subnet", "region"} else None,
        zone=zone,
        labels=(parts["labels"].string_map() if "labels" in parts else {}) | dict(labels),
        cpu=_quantity(parts["cpu"], "4 or 500m") if "cpu" in parts else None,
        memory=_quantity(parts["memory"], "8Gi") if "memory" in parts else None,
        taints=tuple(map(_taint, parts["taints"].items("a list of taints"))) if "taints" in parts else (),
        max_pods=parts["maxPodsPerNode"].integer(8, 256) if "maxPodsPerNode" in parts else None,
        tags=parts["tags"].labels("a list of network tags") if "tags" in parts else (),
        machine_type=_machine_type(parts["machineType"]) if "machineType" in parts else None,
        pod_range=_pod_range(parts["podRange"], subnet) if "podRange" in parts else None,
    )


def _machine_type(field: Field) -> str:
    return field.string(_LABEL_VALUE, allowed="allowed is a name as e2-standard-4")


def _quantity(field: Field, example: str) -> str:
    text = str(field.integer(1, 1 << 62)) if field.is_integer() else field.string(allowed=f"allowed is as {example}")
    if re.fullmatch(_QUANTITY, text) is None:
        raise field.refuse(f"allowed is as {example}")
    return text


def _taint(field: Field) -> dict[str, str]:
    parts = field.mapping(("key", "value", "effect"))
    missing = next((name for name in ("key", "effect") if name not in parts), None)
    if missing is not None:
        raise field.refuse(f"write {missing}:", found=f"the field {missing} is missing")
    value = (
        {"value": parts["value"].string(_LABEL_VALUE, allowed="allowed is a label's value")} if "value" in parts else {}
    )
    key = parts["key"].string(_LABEL_KEY, allowed="allowed is a label's key, as example.com/edge")
    return {"key": key, **value, "effect": parts["effect"].choice(_EFFECTS)}


def _subnet(parts: Mapping[str, Field], subnets: Sequence[SubnetConfig]) -> SubnetConfig:
    """The subnet by its name, or the first of the region, or the first."""
    inside = subnets
    if "region" in parts:
        region = parts["region"].choice(list(dict.fromkeys(subnet.region for subnet in subnets)))
        inside = [subnet for subnet in subnets if subnet.region == region]
    return _named(parts["subnet"], inside) if "subnet" in parts else inside[0]


def _named(field: Field, subnets: Sequence[SubnetConfig]) -> SubnetConfig:
    name = field.choice([subnet.name for subnet in subnets])
    return next(subnet for subnet in subnets if subnet.name == name)


def _zone(field: Field, subnet: SubnetConfig) -> str:
    zone = field.label()
    if not zone.startswith(f"{subnet.region}-"):
        raise field.refuse(f"subnet {subnet.name} is in region {subnet.region}: allowed is a zone as {subnet.region}-a")
    return zone


def _pod_range(field: Field, subnet: SubnetConfig) -> str:
    if not subnet.secondary:
        raise field.refuse(f"subnet {subnet.name} has no secondaryRanges; name one there")
    return field.choice(list(subnet.secondary))
