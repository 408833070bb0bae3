"""The node agent: what the kubelet does, for emulated nodes."""

from __future__ import annotations

from controlplane.node.agent import NodeAgent
from controlplane.node.config import NodeConfig
from controlplane.node.power import power_off

__all__ = ["NodeAgent", "NodeConfig", "power_off"]
