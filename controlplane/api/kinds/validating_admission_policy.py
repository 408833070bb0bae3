"""ValidatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import extensions
from controlplane.api.rules import admission_policies as policies
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _policy(obj: Object) -> list[FieldError]:
    return policies.validate_policy(obj["spec"]) + policies.validate_steps(obj["spec"])


def _binding(obj: Object) -> list[FieldError]:
    return policies.validate_binding(obj["spec"]) + policies.validate_actions(obj["spec"].get("validationActions", ()))


VALIDATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    definition="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    strategy=Strategy(
        default=policies.default_policy,
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _policy, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _policy(new),
        warnings=kind_warnings,
        columns=extensions.VALIDATING_POLICY_COLUMNS,
        row=extensions.validating_policy_row,
    ),
)

VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    definition="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
    strategy=Strategy(
        default=policies.default_binding,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _binding, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _binding(new),
        warnings=kind_warnings,
        columns=extensions.POLICY_BINDING_COLUMNS,
        row=extensions.policy_binding_row,
    ),
)
