"""Rows of Ingresses, network policies, and of addresses as objects."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, age, shortened
from controlplane.api.selectors import format_selector
from controlplane.api.types import Column, Object

ADDRESS_WIDTH = 16

INGRESS_COLUMNS = (
    NAME,
    Column("Class", description="The class of controller that serves it."),
    Column("Hosts", description="Hosts that incoming requests are matched with."),
    Column("Address", description="Where it is reached."),
    Column("Ports", description="Ports that it listens on."),
    AGE,
)

INGRESS_CLASS_COLUMNS = (
    NAME,
    Column("Controller", description="The controller that serves Ingresses of this class."),
    Column("Parameters", description="An object with further configuration for the controller."),
    AGE,
)

POLICY_COLUMNS = (NAME, Column("Pod-Selector", description="The pods that it is about."), AGE)
IP_ADDRESS_COLUMNS = (NAME, Column("ParentRef", description="The object that has this address."))
SERVICE_CIDR_COLUMNS = (NAME, Column("CIDRs", description="Ranges that Services get their addresses from."), AGE)


def ingress_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Ingress."""
    spec = obj.get("spec", {})
    hosts = [rule["host"] for rule in spec.get("rules", ()) if rule.get("host")]
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName") or NONE,
        shortened(hosts) or "*",
        _address(obj),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def _address(obj: Object) -> str:
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    text = ",".join(sorted({one.get("ip") or one.get("hostname", "") for one in ingress} - {""}))
    return text if len(text) <= ADDRESS_WIDTH else f"{text[: ADDRESS_WIDTH - 3]}..."


def ingress_class_row(obj: Object, now: float) -> list[Any]:
    """The cells of one IngressClass."""
    spec = obj.get("spec", {})
    found = spec.get("parameters")
    parameters = NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
        parameters = f"{found.get('kind', '')}{group}/{found.get('name', '')}"
    return [obj["metadata"]["name"], spec.get("controller", ""), parameters, age(obj, now)]


def policy_row(obj: Object, now: float) -> list[Any]:
    """The cells of one NetworkPolicy."""
    selector = format_selector(obj.get("spec", {}).get("podSelector", {}))
    return [obj["metadata"]["name"], selector or NONE, age(obj, now)]


def ip_address_row(obj: Object, now: float) -> list[Any]:
    """The cells of one IPAddress."""
    parent = obj.get("spec", {}).get("parentRef")
    if not parent:
        return [obj["metadata"]["name"], NONE]
    resource = f"{parent.get('resource', '')}.{parent['group']}" if parent.get("group") else parent.get("resource", "")
    place = f"{parent['namespace']}/" if parent.get("namespace") else ""
    return [obj["metadata"]["name"], f"{resource.lower()}/{place}{parent.get('name', '')}"]


def service_cidr_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ServiceCIDR."""
    return [obj["metadata"]["name"], ",".join(obj.get("spec", {}).get("cidrs", ())), age(obj, now)]
