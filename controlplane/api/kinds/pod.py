"""Pods, and the two kinds that are only ever posted to them."""

from __future__ import annotations

from controlplane.api.types import Kind

POD = Kind(
    group="",
    version="v1",
    name="Pod",
    plural="pods",
    definition="io.k8s.api.core.v1.Pod",
    short_names=("po",),
    categories=("all",),
    subresources=("binding", "eviction", "exec", "log", "status"),
    grace_period=30,
)

BINDING = Kind(
    group="",
    version="v1",
    name="Binding",
    plural="bindings",
    definition="io.k8s.api.core.v1.Binding",
    verbs=("create",),
)

EVICTION = Kind(
    group="policy",
    version="v1",
    name="Eviction",
    plural="evictions",
    definition="io.k8s.api.policy.v1.Eviction",
    verbs=("create",),
)
