"""The CustomResourceDefinition of Fault, which every cluster has from its start.

A definition, not a built-in kind: what Kubernetes does not have comes into its API as anybody's extension would.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.custom.kind import kinds_of
from controlplane.api.errors import AlreadyExists
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION
from controlplane.api.types import Object
from controlplane.client.interface import Client

TYPES = (
    "partition",
    "delay",
    "loss",
    "rate",
    "flap",
    "mtu",
    "nodeCrash",
    "nodeFreeze",
    "processKill",
    "processPause",
    "dnsFailure",
    "routeRemoved",
    "ruleRemoved",
)
DIRECTIONS = ("both", "in", "out")
PHASES = ("Pending", "Active", "Healed", "Failed")
LONGEST_NAME = 100
"""A file and an nft table are named after a Fault, and have their own bounds."""
_TIME = r"^[0-9]+(\.[0-9]+)?(us|ms|s|m|h)$"
NEEDS = {
    "partition": ("from", "partition needs from; without to it is cut off from everything"),
    "delay": ("delay", "delay needs delay, as 100ms"),
    "loss": ("loss", "loss needs loss, as 5%"),
    "rate": ("rate", "rate needs rate, as 1Mbit"),
    "mtu": ("mtu", "mtu needs mtu"),
    "dnsFailure": ("names", "dnsFailure needs names"),
    "routeRemoved": ("route", "routeRemoved needs route, a range or default"),
}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _texts(description: str, most: int = 256, *, least: int = 1) -> dict[str, Any]:
    items = {"type": "string", "minLength": 1}
    return {"type": "array", "minItems": least, "maxItems": most, "items": items, "description": description}


def _label_selector(description: str) -> dict[str, Any]:
    expression = {
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {"type": "string"},
            "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
            "values": {"type": "array", "items": {"type": "string"}},
        },
    }
    properties = {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {"type": "array", "items": expression},
    }
    return {"type": "object", "description": description, "properties": properties}


def _selection(description: str) -> dict[str, Any]:
    properties = {
        "namespace": _text("Of pods, Services and podSelector: default if not given."),
        "namespaceSelector": _label_selector("Namespaces in which podSelector selects, in place of namespace."),
        "podSelector": _label_selector("Pods by their labels; {} is all of them."),
        "pods": _texts("Pods by name."),
        "services": _texts("The pods that Services select."),
        "nodes": _texts("Nodes by name: the machine with all of its pods."),
        "nodeSelector": _label_selector("Nodes by their labels."),
        "cidrs": _texts("Ranges of addresses; only where two ends are asked for."),
        "router": {"type": "boolean", "description": "The VPC's router; for routeRemoved."},
    }
    return {
        "type": "object",
        "description": f"{description} What is given adds up.",
        "minProperties": 1,
        "properties": properties,
    }


def _spec() -> dict[str, Any]:
    properties = {
        "type": _text("What breaks.", enum=list(TYPES)),
        "from": _selection("One end."),
        "to": _selection("The other end."),
        "target": _selection("What breaks, where there are no two ends."),
        "direction": _text("Of from, or of target: what comes in, what goes out.", enum=list(DIRECTIONS)),
        "start": _text("Time until it begins, as 5s.", pattern=_TIME),
        "duration": _text("Time until it heals by itself; without it, it lasts until deleted.", pattern=_TIME),
        "delay": _text("Of each packet, as 100ms.", pattern=_TIME),
        "jitter": _text("By which the delay varies.", pattern=_TIME),
        "loss": _text("How many packets of a hundred, as 5%.", pattern=r"^[0-9]+(\.[0-9]+)?%$"),
        "rate": _text("At most so much, as 1Mbit.", pattern=r"^[0-9]+(\.[0-9]+)?(bit|kbit|Mbit|Gbit)$"),
        "period": _text("Of flap: half of it down, half of it up. 2s if not given.", pattern=_TIME),
        "mtu": {"type": "integer", "minimum": 68, "maximum": 65535, "description": "In bytes."},
        "containers": _texts("Of processKill and processPause: by name; all if not given."),
        "names": _texts("Of dnsFailure: queries that begin with these labels; * is every query.", 64),
        "route": _text("Of routeRemoved: its range, or default."),
        "table": _text("Of ruleRemoved: nat if not given.", enum=["nat", "filter", "mangle", "raw"]),
        "rule": _text("Of ruleRemoved: a line as iptables-save prints it."),
        "chain": _text("Of ruleRemoved: all rules of a chain."),
    }
    rules = [
        {"rule": f"self.type != '{type_}' || has(self.{field})", "message": message}
        for type_, (field, message) in NEEDS.items()
        if field != "from"
    ]
    rules += [
        {
            "rule": "self.type != 'ruleRemoved' || has(self.rule) != has(self.chain)",
            "message": "ruleRemoved needs either rule or chain",
        },
        {
            "rule": "self.type == 'partition' || has(self.target) || has(self.to)",
            "message": "target is missing",
        },
        {"rule": "self.type != 'partition' || !has(self.target)", "message": "partition takes from and to"},
        {"rule": "self.type == oldSelf.type", "message": "the type of a Fault cannot be changed"},
    ]
    return {"type": "object", "required": ["type"], "properties": properties, "x-kubernetes-validations": rules}


def _status() -> dict[str, Any]:
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            name: {"type": "string"} for name in ("type", "status", "reason", "message", "lastTransitionTime")
        },
    }
    properties = {
        "phase": _text("Pending, Active, Healed or Failed.", enum=list(PHASES)),
        "observedGeneration": {"type": "integer", "format": "int64"},
        "startTime": _text("When it begins, or began.", format="date-time"),
        "endTime": _text("When it heals, or healed.", format="date-time"),
        "places": _texts("What it affects at this moment.", 100_000, least=0),
        "nodes": _texts("The nodes among them.", 100_000, least=0),
        "conditions": {
            "type": "array",
            "items": condition,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    }
    return {"type": "object", "properties": properties}


def definition() -> Object:
    """The definition as it is created."""
    schema = {
        "type": "object",
        "description": "Something that is broken on purpose, for some time.",
        "required": ["spec"],
        "properties": {"spec": _spec(), "status": _status()},
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {LONGEST_NAME}",
                "message": f"the name of a Fault has at most {LONGEST_NAME} characters",
            }
        ],
    }
    columns = [
        {"name": "Type", "type": "string", "jsonPath": ".spec.type"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Duration", "type": "string", "jsonPath": ".spec.duration"},
        {"name": "Places", "type": "string", "jsonPath": ".status.places", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    names = {"plural": "faults", "singular": "fault", "kind": "Fault", "listKind": "FaultList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "faults.netsim.io"},
        "spec": {"group": "netsim.io", "scope": "Cluster", "names": names, "versions": [version]},
    }


FAULT = kinds_of(definition())[0]


async def ensure_definition(client: Client) -> None:
    """Has the definition in the API, as this version has it."""
    wanted = definition()
    try:
        await client.create(CUSTOM_RESOURCE_DEFINITION, wanted)
    except AlreadyExists:
        name = wanted["metadata"]["name"]
        await client.patch(CUSTOM_RESOURCE_DEFINITION, name, body={"spec": wanted["spec"]})
