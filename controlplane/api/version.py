"""The version of Kubernetes whose API this is: one for server, nodes and documents."""

from __future__ import annotations

KUBERNETES = "v1.37.0"
