"""Reviews of what somebody may do: posted, answered, never stored."""

from __future__ import annotations

from controlplane.api.types import Kind

LOCAL_SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    name="LocalSubjectAccessReview",
    plural="localsubjectaccessreviews",
    definition="io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    verbs=("create",),
)

SELF_SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    name="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    definition="io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    namespaced=False,
    verbs=("create",),
)

SELF_SUBJECT_RULES_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    name="SelfSubjectRulesReview",
    plural="selfsubjectrulesreviews",
    definition="io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    namespaced=False,
    verbs=("create",),
)

SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    name="SubjectAccessReview",
    plural="subjectaccessreviews",
    definition="io.k8s.api.authorization.v1.SubjectAccessReview",
    namespaced=False,
    verbs=("create",),
)
