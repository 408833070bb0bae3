"""Cluster DNS: the Kubernetes DNS specification, answered from the API's objects."""

from __future__ import annotations

from controlplane.dns.server import DnsConfig, DnsServer
from controlplane.dns.service import DnsService

__all__ = ["DnsConfig", "DnsServer", "DnsService"]
