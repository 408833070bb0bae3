"""Reviews of who somebody is: posted, answered, never stored."""

from __future__ import annotations

from controlplane.api.types import Kind

TOKEN_REVIEW = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="TokenReview",
    plural="tokenreviews",
    definition="io.k8s.api.authentication.v1.TokenReview",
    namespaced=False,
    verbs=("create",),
)

SELF_SUBJECT_REVIEW = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="SelfSubjectReview",
    plural="selfsubjectreviews",
    definition="io.k8s.api.authentication.v1.SelfSubjectReview",
    namespaced=False,
    verbs=("create",),
)
