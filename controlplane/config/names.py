"""Which names a cluster and its nodes can have: they become parts of namespace names, directories and link aliases."""

from __future__ import annotations

import re

from controlplane.config.errors import ConfigError

MAX_CLUSTER_NAME = 30
CLUSTER_NAME = rf"(?=.{{1,{MAX_CLUSTER_NAME}}}$)[a-z]([-a-z0-9]*[a-z0-9])?"
CLUSTER_NAME_ALLOWED = (
    f"allowed are lower-case letters, digits and '-', a letter first, no '-' last, at most {MAX_CLUSTER_NAME}"
)
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
LABEL_ALLOWED = "allowed are lower-case letters, digits and '-', at most 63"
NODE_NAME = rf"(?!router$){LABEL}"
NODE_NAME_ALLOWED = f"{LABEL_ALLOWED}, but router is the VPC's own"


def check_cluster_name(name: str) -> str:
    """The name, if a cluster can have it; ConfigError otherwise."""
    if re.fullmatch(CLUSTER_NAME, name) is None:
        raise ConfigError(path="name", found=f"found {name!r}", allowed=CLUSTER_NAME_ALLOWED)
    return name
