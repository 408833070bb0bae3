"""cluster.yaml to `ClusterConfig`: every field checked, every complaint with its line.

What a field of the file alone can show is refused here. Whether ranges and ports are free, and whether the nodes fit
into their subnets, is for `resolve`, which knows the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import yaml

from controlplane.config.errors import ConfigError
from controlplane.config.fields import Field
from controlplane.config.names import (
    CLUSTER_NAME,
    CLUSTER_NAME_ALLOWED,
    LABEL,
    LABEL_ALLOWED,
    NODE_NAME,
    NODE_NAME_ALLOWED,
)
from controlplane.config.types import (
    ClusterConfig,
    Egress,
    MissingImage,
    Mode,
    NodeConfig,
    SubnetConfig,
    numbered_nodes,
)

API_VERSION = "netsim.io/v1alpha1"
MAX_NODES = 1000
_SPEC = ("nodes", "apiServer", "network", "images", "maxPodsPerNode")
_NETWORK = ("mode", "mtu", "subnets", "serviceRange", "loadBalancerRange", "egress")


def load(path: Path) -> ClusterConfig:
    """Read a cluster.yaml; ConfigError if it cannot be read or says something that is not allowed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            where=str(path), path="", found=f"cannot be read: {reason}", allowed="name a cluster.yaml"
        ) from error
    return parse(text, file=str(path))


def parse(text: str, *, file: str = "cluster.yaml") -> ClusterConfig:
    """The configuration that `text` describes; `file` is its name in errors. An empty text leaves all free."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, file) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            where=file, path="", found=f"not YAML: {error}", allowed="see docs/cluster-config.md"
        ) from error
    if not documents:
        return ClusterConfig()
    if len(documents) > 1:
        raise Field(documents[1], "document", file).refuse("write one document a file", found="a second document")
    return _cluster(Field(documents[0], "", file))


def _cluster(root: Field) -> ClusterConfig:
    top = root.mapping(("apiVersion", "kind", "metadata", "spec"))
    for name, value in (("apiVersion", API_VERSION), ("kind", "Cluster")):
        if name not in top:
            raise root.refuse(f"write {name}: {value}", found=f"the field {name} is missing")
        top[name].choice((value,))
    metadata = top["metadata"].mapping(("name",)) if "metadata" in top else {}
    spec = top["spec"].mapping(_SPEC) if "spec" in top else {}
    api = spec["apiServer"].mapping(("address", "port")) if "apiServer" in spec else {}
    network = spec["network"].mapping(_NETWORK) if "network" in spec else {}
    images = spec["images"].mapping(("missing",)) if "images" in spec else {}
    subnets = _subnets(network["subnets"]) if "subnets" in network else ()
    return ClusterConfig(
        name=metadata["name"].string(CLUSTER_NAME, allowed=CLUSTER_NAME_ALLOWED) if "name" in metadata else None,
        nodes=_nodes(spec["nodes"], subnets or (SubnetConfig(),)) if "nodes" in spec else None,
        api_address=api["address"].address() if "address" in api else None,
        api_port=api["port"].integer(1, 65535) if "port" in api else None,
        mode=_mode(network["mode"]) if "mode" in network else None,
        mtu=network["mtu"].integer(1280, 9000) if "mtu" in network else None,
        subnets=subnets,
        service_range=network["serviceRange"].network(12, 28) if "serviceRange" in network else None,
        load_balancer_range=network["loadBalancerRange"].network(16, 30) if "loadBalancerRange" in network else None,
        egress=cast(Egress, network["egress"].choice(("nat", "none"))) if "egress" in network else None,
        missing_image=_missing_image(images["missing"]) if "missing" in images else None,
        max_pods_per_node=spec["maxPodsPerNode"].integer(8, 256) if "maxPodsPerNode" in spec else None,
        sources=_sources(root),
    )


def _mode(field: Field) -> Mode:
    if field.string() == "vxlan":
        raise field.refuse("vxlan is not implemented yet: allowed is routed")
    return cast(Mode, field.choice(("routed",)))


def _missing_image(field: Field) -> MissingImage:
    return cast(MissingImage, field.choice(("standin", "pull", "error")))


def _subnets(field: Field) -> tuple[SubnetConfig, ...]:
    items = field.items("a list of subnets")
    if not items:
        raise field.refuse("a cluster needs one subnet; leave the field out for the default", found="found no subnet")
    subnets = tuple(_subnet(item) for item in items)
    _refuse_twice(items, [subnet.name for subnet in subnets])
    return subnets


def _subnet(field: Field) -> SubnetConfig:
    parts = field.mapping(("name", "region", "range", "podRange"))
    free = SubnetConfig()
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    return SubnetConfig(
        name=parts["name"].string(LABEL, allowed=LABEL_ALLOWED),
        region=parts["region"].string(LABEL, allowed=LABEL_ALLOWED) if "region" in parts else free.region,
        range=parts["range"].network(8, 29) if "range" in parts else None,
        pod_range=parts["podRange"].network(8, 28) if "podRange" in parts else None,
    )


def _nodes(field: Field, subnets: Sequence[SubnetConfig]) -> tuple[NodeConfig, ...]:
    if field.is_integer():
        return numbered_nodes(field.integer(0, MAX_NODES))
    items = field.items(f"a number from 0 to {MAX_NODES}, or a list of nodes")
    nodes = tuple(_node(item, [subnet.name for subnet in subnets]) for item in items)
    _refuse_twice(items, [node.name for node in nodes])
    return nodes


def _node(field: Field, subnets: Sequence[str]) -> NodeConfig:
    parts = field.mapping(("name", "subnet", "zone", "labels"))
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    return NodeConfig(
        name=parts["name"].string(NODE_NAME, allowed=NODE_NAME_ALLOWED),
        subnet=parts["subnet"].choice(subnets) if "subnet" in parts else None,
        zone=parts["zone"].string(LABEL, allowed=LABEL_ALLOWED) if "zone" in parts else None,
        labels=parts["labels"].string_map() if "labels" in parts else {},
    )


def _refuse_twice(items: Sequence[Field], names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise items[index].refuse("give each its own name", found=f"the name {name} is there twice")


def _sources(root: Field) -> dict[str, str]:
    """Where each field stands, by its path."""
    sources = {root.path: root.where} if root.path else {}
    if isinstance(root.node, yaml.MappingNode):
        for key, value in root.node.value:
            path = f"{root.path}.{key.value}" if root.path else str(key.value)
            sources |= _sources(Field(value, path, root.file))
    elif isinstance(root.node, yaml.SequenceNode):
        for item in root.items("a list"):
            sources |= _sources(item)
    return sources


def _not_yaml(error: yaml.MarkedYAMLError, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}" if mark else file
    return ConfigError(where=where, path="", found=f"not YAML: {error.problem}", allowed="see docs/cluster-config.md")
