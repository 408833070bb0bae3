from __future__ import annotations

import pytest

from controlplane.node.environment import service_variables
from controlplane.node.errors import ConfigFailure
from controlplane.node.values import expand, pod_field, resource_field

POD = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "labels": {"b": "2", "a": 'x"y'}},
    "spec": {
        "nodeName": "node-1",
        "containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi", "cpu": "250m"}}}],
    },
}
ADDRESSES = {"podIP": "10.44.1.2", "podIPs": ["10.44.1.2"], "hostIP": "10.128.0.11", "hostIPs": ["10.128.0.11"]}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$(NONE) $A", "$(NONE) $A"),
        ("$$$(A)", "$1"),
        ("plain", "plain"),
    ],
)
def test_references_are_expanded_as_upstream_does(text: str, result: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == result


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.labels['b']", "2"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'a="x\\"y"\nb="2"'),
        ("spec.nodeName", "node-1"),
        ("status.podIP", "10.44.1.2"),
        ("status.hostIPs", "10.128.0.11"),
    ],
)
def test_fields_of_the_pod(path: str, value: str) -> None:
    assert pod_field(POD, path, ADDRESSES) == value


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigFailure, match=r"unsupported fieldPath: spec\.nothing"):
        pod_field(POD, "spec.nothing", ADDRESSES)


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.memory"}, str(64 * 1024 * 1024)),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.memory"}, str(64 * 1024 * 1024)),
        ({"resource": "limits.ephemeral-storage"}, "1024"),
    ],
)
def test_resources_of_a_container(reference: dict[str, str], value: str) -> None:
    assert resource_field(POD, POD["spec"]["containers"][0], reference, {"ephemeral-storage": "1Ki"}) == value


def _service(namespace: str, name: str, address: str, *ports: dict[str, object]) -> dict[str, object]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": address, "ports": list(ports)}}


def test_service_variables_are_those_of_the_namespace_and_of_kubernetes() -> None:
    services = [
        _service("default", "kubernetes", "10.48.0.1", {"name": "https", "port": 443, "protocol": "TCP"}),
        _service("shop", "my-db", "10.48.0.9", {"port": 5432}),
        _service("shop", "headless", "None", {"port": 1}),
        _service("other", "hidden", "10.48.0.8", {"port": 1}),
    ]
    found = service_variables(services, "shop", links=True)
    assert found["KUBERNETES_SERVICE_HOST"] == "10.48.0.1"
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert found["MY_DB_PORT"] == found["MY_DB_PORT_5432_TCP"] == "tcp://10.48.0.9:5432"
    assert found["MY_DB_PORT_5432_TCP_ADDR"] == "10.48.0.9"
    assert not [name for name in found if name.startswith(("HEADLESS", "HIDDEN"))]
    assert "MY_DB_SERVICE_HOST" not in service_variables(services, "shop", links=False)
