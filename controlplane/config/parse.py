"""cluster.yaml to `ClusterConfig`: every field checked, every complaint with its line.

What a field of the file alone can show is refused here. Whether ranges and ports are free, and whether the nodes fit
into their subnets, is for `resolve`, which knows the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import yaml

from controlplane.config.errors import ConfigError
from controlplane.config.fields import Field
from controlplane.config.names import CLUSTER_NAME, CLUSTER_NAME_ALLOWED
from controlplane.config.parse_network import Network, parse_dns, parse_network
from controlplane.config.parse_nodes import parse_nodes, parse_pools
from controlplane.config.types import ClusterConfig, MissingImage, SubnetConfig, VolumeKind

API_VERSION = "netsim.io/v1alpha1"
_SPEC = ("nodes", "nodePools", "apiServer", "network", "dns", "images", "storage", "maxPodsPerNode")


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
    """The configuration that `text` describes; `file` is its name in errors."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, file) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            where=file, path="", found=f"not YAML: {error}", allowed="see docs/cluster-config.md"
        ) from error
    if not documents:
        least = f"write at least apiVersion: {API_VERSION} and kind: Cluster"
        raise ConfigError(where=file, path="", found="the file says nothing", allowed=least)
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
    images = spec["images"].mapping(("missing",)) if "images" in spec else {}
    network = parse_network(spec["network"]) if "network" in spec else Network()
    stub_domains, upstream_nameservers = parse_dns(spec["dns"]) if "dns" in spec else (None, None)
    subnets = network.subnets or (SubnetConfig(),)
    return ClusterConfig(
        name=metadata["name"].string(CLUSTER_NAME, allowed=CLUSTER_NAME_ALLOWED) if "name" in metadata else None,
        nodes=parse_nodes(spec["nodes"], subnets) if "nodes" in spec else None,
        pool_nodes=parse_pools(spec["nodePools"], subnets) if "nodePools" in spec else (),
        api_address=api["address"].address() if "address" in api else None,
        api_port=api["port"].integer(1, 65535) if "port" in api else None,
        mode=network.mode,
        pod_network=network.pod_network,
        regions=network.regions,
        mtu=network.mtu,
        offloads=network.offloads,
        subnets=network.subnets,
        routes=network.routes,
        firewall=network.firewall,
        paths=network.paths,
        cni=network.cni,
        stub_domains=stub_domains,
        upstream_nameservers=upstream_nameservers,
        service_range=network.service_range,
        load_balancer_range=network.load_balancer_range,
        egress=network.egress,
        missing_image=_missing_image(images["missing"]) if "missing" in images else None,
        volumes=_volumes(spec["storage"]) if "storage" in spec else None,
        max_pods_per_node=spec["maxPodsPerNode"].integer(8, 256) if "maxPodsPerNode" in spec else None,
        sources=_sources(root),
    )


def _volumes(field: Field) -> VolumeKind | None:
    parts = field.mapping(("volumes",))
    return cast(VolumeKind, parts["volumes"].choice(("image", "directory"))) if "volumes" in parts else None


def _missing_image(field: Field) -> MissingImage:
    return cast(MissingImage, field.choice(("standin", "pull", "error")))


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
