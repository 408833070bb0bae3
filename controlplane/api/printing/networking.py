"""Rows of Services and of what is behind them."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, UNKNOWN, UNSET, age, labels_text, shortened
from controlplane.api.types import Column, Object

SERVICE_COLUMNS = (
    NAME,
    Column("Type", description="How the Service is exposed."),
    Column("Cluster-IP", description="The IP address of the Service."),
    Column("External-IP", description="Addresses at which the Service is reached from outside."),
    Column("Port(s)", description="The ports that are exposed by this Service."),
    AGE,
    Column("Selector", priority=1, description="Labels of the pods that traffic goes to."),
)

ENDPOINTS_COLUMNS = (NAME, Column("Endpoints", description="Addresses and ports."), AGE)

ENDPOINT_SLICE_COLUMNS = (
    NAME,
    Column("AddressType", description="The type of address carried by this EndpointSlice."),
    Column("Ports", description="The ports exposed by each endpoint in this slice."),
    Column("Endpoints", description="Unique endpoints in this slice."),
    AGE,
)


def service_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Service."""
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec["type"],
        spec.get("clusterIP") or NONE,
        _external_address(obj),
        ",".join(_port(port) for port in spec.get("ports", ())) or NONE,
        age(obj, now),
        labels_text(spec.get("selector")),
    ]


def _external_address(obj: Object) -> str:
    spec = obj["spec"]
    external = spec.get("externalIPs", [])
    match spec["type"]:
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", ())
            balanced = sorted({one.get("ip") or one.get("hostname", "") for one in ingress} - {""})
            return ",".join([*balanced, *external]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return UNKNOWN


def _port(port: dict[str, Any]) -> str:
    node_port = port.get("nodePort")
    return f"{port['port']}:{node_port}/{port['protocol']}" if node_port else f"{port['port']}/{port['protocol']}"


def endpoints_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Endpoints."""
    found = [
        f"[{address['ip']}]:{port['port']}" if ":" in address["ip"] else f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets", ())
        for port in subset.get("ports", ())
        for address in subset.get("addresses", ())
    ]
    return [obj["metadata"]["name"], shortened(found) or NONE, age(obj, now)]


def endpoint_slice_row(obj: Object, now: float) -> list[Any]:
    """The cells of one EndpointSlice."""
    ports = [str(port["port"]) if "port" in port else "*" for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses", ())]
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        shortened(ports) or UNSET,
        shortened(addresses) or UNSET,
        age(obj, now),
    ]
