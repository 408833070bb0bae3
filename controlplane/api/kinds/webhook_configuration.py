"""ValidatingWebhookConfigurations and MutatingWebhookConfigurations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, invalid_each, not_supported, required
from controlplane.api.printing import extensions
from controlplane.api.rules import conditions, lifecycle, matching
from controlplane.api.types import Kind, Object, Strategy

Fields = dict[str, Any]

DEFAULT_SECONDS, LONGEST_SECONDS = 10, 30
DEFAULT_PORT = 443
REVIEW_VERSIONS = ("v1", "v1beta1")
SIDE_EFFECTS = ("None", "NoneOnDryRun")
REINVOCATIONS = ("IfNeeded", "Never")


def _default(obj: Object) -> None:
    for webhook in obj.get("webhooks", ()):
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", DEFAULT_SECONDS)
        matching.default_rules(webhook.get("rules", ()))
        service = webhook.get("clientConfig", {}).get("service")
        if service is not None:
            service.setdefault("port", DEFAULT_PORT)


def _default_mutating(obj: Object) -> None:
    _default(obj)
    for webhook in obj.get("webhooks", ()):
        webhook.setdefault("reinvocationPolicy", "Never")


def _rules(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks", ())):
        place, name = f"webhooks[{index}]", webhook.get("name", "")
        errors += _validate_webhook(webhook, place)
        if name in taken:
            errors.append(duplicate(f"{place}.name", name))
        taken.add(name)
    return errors


def _validate_webhook(webhook: Fields, path: str) -> list[FieldError]:
    errors = _validate_name(webhook.get("name", ""), f"{path}.name")
    for index, rule in enumerate(webhook.get("rules", ())):
        errors += matching.validate_rule(rule, f"{path}.rules[{index}]")
    errors += matching.validate_policies(webhook, path)
    effects = webhook.get("sideEffects")
    if effects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}"))
    elif effects not in SIDE_EFFECTS:
        errors.append(not_supported(f"{path}.sideEffects", effects, SIDE_EFFECTS))
    seconds = webhook["timeoutSeconds"]
    if not 1 <= seconds <= LONGEST_SECONDS:
        text = f"the timeout value must be between 1 and {LONGEST_SECONDS} seconds"
        errors.append(invalid(f"{path}.timeoutSeconds", seconds, text))
    again = webhook.get("reinvocationPolicy")
    if again is not None and again not in REINVOCATIONS:
        errors.append(not_supported(f"{path}.reinvocationPolicy", again, REINVOCATIONS))
    errors += _validate_versions(webhook.get("admissionReviewVersions", []), f"{path}.admissionReviewVersions")
    match = webhook.get("matchConditions", ())
    errors += matching.validate_conditions(match, f"{path}.matchConditions")
    errors += conditions.condition_errors(match, f"{path}.matchConditions")
    return errors + validate_client(webhook.get("clientConfig", {}), f"{path}.clientConfig")


def _validate_name(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    errors = invalid_each(path, name, names.dns1123_subdomain(name))
    if not errors and name.count(".") < 2:
        errors.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))
    return errors


def _validate_versions(versions: list[str], path: str) -> list[FieldError]:
    if not versions:
        return [required(path, f"must specify one of {', '.join(REVIEW_VERSIONS)}")]
    errors = [
        invalid(f"{path}[{index}]", one, "duplicate version")
        for index, one in enumerate(versions)
        if one in versions[:index]
    ]
    if not set(versions) & set(REVIEW_VERSIONS):
        text = f"must include at least one of {', '.join(REVIEW_VERSIONS)}"
        errors.append(invalid(path, versions, text))
    return errors


def validate_client(config: Fields, path: str) -> list[FieldError]:
    """Every error in how a webhook is reached: by URL or by Service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if service is None:
        return _validate_url(str(url), f"{path}.url")
    errors = [required(f"{path}.service.{name}") for name in ("name", "namespace") if not service.get(name)]
    target = service.get("path")
    if target is not None and not target.startswith("/"):
        errors.append(invalid(f"{path}.service.path", target, "must start with a '/'"))
    port = service.get("port", DEFAULT_PORT)
    wrong = names.port_number(port)
    return errors + [invalid(f"{path}.service.port", port, f"port is not valid: {text}") for text in wrong]


def _validate_url(url: str, path: str) -> list[FieldError]:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [invalid(path, url, f"url must be a valid URL: {error}{form}")]
    errors: list[FieldError] = []
    if parts.scheme != "https":
        errors.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}"))
    if not parts.netloc:
        errors.append(invalid(path, parts.netloc, f"host must be specified{form}"))
    if parts.username is not None:
        errors.append(invalid(path, parts.username, "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _rules(new)


def _warnings(obj: Object) -> list[str]:
    return [
        text
        for index, webhook in enumerate(obj.get("webhooks", ()))
        for text in conditions.condition_warnings(
            webhook.get("matchConditions", ()), f"webhooks[{index}].matchConditions"
        )
    ]


MUTATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    needs_version=True,
    strategy=Strategy(
        default=_default_mutating,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("webhooks"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        warnings=_warnings,
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
    needs_version=True,
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("webhooks"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        warnings=_warnings,
        columns=extensions.WEBHOOK_COLUMNS,
        row=extensions.webhook_row,
    ),
)
