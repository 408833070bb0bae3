"""Faults as objects: `Fault` of netsim.io/v1alpha1, whom it means, and the controller that has the kernel do it."""

from controlplane.faults.controller import FaultConfig, FaultController
from controlplane.faults.definition import FAULT, TYPES, ensure_definition
from controlplane.faults.model import Refused, Spec, read_spec
from controlplane.faults.status import hampered_nodes

__all__ = [
    "FAULT",
    "TYPES",
    "FaultConfig",
    "FaultController",
    "Refused",
    "Spec",
    "ensure_definition",
    "hampered_nodes",
    "read_spec",
]
