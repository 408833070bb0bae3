"""Rows of what extends the API or decides about requests: webhooks, policies, definitions, flow control."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, UNSET, age
from controlplane.api.types import Column, Object

CREATED_COLUMNS = (NAME, Column("Created At", "date", description="When the object was created."))

MIGRATION_COLUMNS = (NAME, Column("Resource", description="The resource whose objects are rewritten."))

WEBHOOK_COLUMNS = (NAME, Column("Webhooks", "integer", description="The number of webhooks."), AGE)
_PARAM_KIND = Column("ParamKind", description="The kind of object that holds its parameters.")
VALIDATING_POLICY_COLUMNS = (
    NAME,
    Column("Validations", "integer", description="The number of validations."),
    _PARAM_KIND,
    AGE,
)
MUTATING_POLICY_COLUMNS = (
    NAME,
    Column("Mutations", "integer", description="The number of mutations."),
    _PARAM_KIND,
    AGE,
)
POLICY_BINDING_COLUMNS = (
    NAME,
    Column("PolicyName", description="The policy that is bound."),
    Column("ParamRef", description="The object that holds the parameters."),
    AGE,
)

API_SERVICE_COLUMNS = (
    NAME,
    Column("Service", description="The Service that serves it."),
    Column("Available", description="Whether it is served."),
    AGE,
)

FLOW_SCHEMA_COLUMNS = (
    NAME,
    Column("PriorityLevel", description="The priority level of its requests."),
    Column("MatchingPrecedence", description="Which of the schemas that match is taken: the lowest."),
    Column("DistinguisherMethod", description="What makes requests one flow."),
    AGE,
    Column("MissingPL", description="Whether its priority level is missing."),
)

PRIORITY_LEVEL_COLUMNS = (
    NAME,
    Column("Type", description="Limited or Exempt."),
    Column("NominalConcurrencyShares", description="Its share of the requests that are served at once."),
    Column("Queues", description="The number of its queues."),
    Column("HandSize", description="How many queues a flow is dealt."),
    Column("QueueLengthLimit", description="How many requests a queue holds."),
    AGE,
)

COMPONENT_STATUS_COLUMNS = (
    NAME,
    Column("Status", description="Whether it is healthy."),
    Column("Message", description="What it said."),
    Column("Error", description="Why it is not healthy."),
)


def created_row(obj: Object, now: float) -> list[Any]:
    """The cells of kinds that upstream's table says nothing about."""
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def migration_row(obj: Object, now: float) -> list[Any]:
    """The cells of one StorageVersionMigration."""
    resource = obj.get("spec", {}).get("resource", {})
    return [obj["metadata"]["name"], ".".join(one for one in (resource.get("resource"), resource.get("group")) if one)]


def webhook_row(obj: Object, now: float) -> list[Any]:
    """The cells of one webhook configuration."""
    return [obj["metadata"]["name"], len(obj.get("webhooks", ())), age(obj, now)]


def validating_policy_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ValidatingAdmissionPolicy."""
    return _policy(obj, "validations", now)


def mutating_policy_row(obj: Object, now: float) -> list[Any]:
    """The cells of one MutatingAdmissionPolicy."""
    return _policy(obj, "mutations", now)


def _policy(obj: Object, steps: str, now: float) -> list[Any]:
    spec = obj.get("spec", {})
    param = spec.get("paramKind")
    shown = f"{param.get('apiVersion', '')}/{param.get('kind', '')}" if param else UNSET
    return [obj["metadata"]["name"], len(spec.get(steps, ())), shown, age(obj, now)]


def policy_binding_row(obj: Object, now: float) -> list[Any]:
    """The cells of one binding of an admission policy."""
    spec = obj.get("spec", {})
    param = spec.get("paramRef")
    shown = UNSET
    if param:
        named = f"{param['namespace']}/{param.get('name', '')}" if param.get("namespace") else f"*/{param.get('name')}"
        shown = named if param.get("name") else str(param.get("selector", NONE))
    return [obj["metadata"]["name"], spec.get("policyName", ""), shown, age(obj, now)]


def api_service_row(obj: Object, now: float) -> list[Any]:
    """The cells of one APIService."""
    service = obj.get("spec", {}).get("service")
    conditions = obj.get("status", {}).get("conditions", ())
    found = next((one for one in conditions if one.get("type") == "Available"), None)
    available = "Unknown"
    if found is not None:
        available = found["status"] if found["status"] == "True" else f"{found['status']} ({found.get('reason', '')})"
    return [
        obj["metadata"]["name"],
        f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local",
        available,
        age(obj, now),
    ]


def flow_schema_row(obj: Object, now: float) -> list[Any]:
    """The cells of one FlowSchema."""
    spec = obj.get("spec", {})
    conditions = obj.get("status", {}).get("conditions", ())
    dangling = next((one.get("status") for one in conditions if one.get("type") == "Dangling"), "?")
    return [
        obj["metadata"]["name"],
        spec.get("priorityLevelConfiguration", {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        spec.get("distinguisherMethod", {}).get("type", NONE),
        age(obj, now),
        dangling,
    ]


def priority_level_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PriorityLevelConfiguration."""
    spec = obj.get("spec", {})
    limited = spec.get("limited", {})
    shares = limited.get("nominalConcurrencyShares", NONE)
    queuing = limited.get("limitResponse", {}).get("queuing", {})
    queues = [queuing.get(name, NONE) for name in ("queues", "handSize", "queueLengthLimit")]
    return [obj["metadata"]["name"], spec.get("type", ""), shares, *queues, age(obj, now)]


def component_status_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ComponentStatus."""
    found: Object = next((one for one in obj.get("conditions", ()) if one.get("type") == "Healthy"), {})
    status = {"True": "Healthy", "False": "Unhealthy"}.get(found.get("status", ""), "Unknown")
    return [obj["metadata"]["name"], status, found.get("message", ""), found.get("error", "")]
