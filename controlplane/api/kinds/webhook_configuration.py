"""ValidatingWebhookConfigurations and MutatingWebhookConfigurations."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

MUTATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("webhooks"),
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=extensions.WEBHOOK_COLUMNS,
        row=extensions.webhook_row,
    ),
)

VALIDATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("webhooks"),
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=extensions.WEBHOOK_COLUMNS,
        row=extensions.webhook_row,
    ),
)
