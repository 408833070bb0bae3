"""Chain names with values that upstream's own tests and real clusters show."""

import pytest

from controlplane.proxy import names


@pytest.mark.parametrize(
    ("text", "protocol", "expected"),
    [
        ("ns1/svc1:p80", "tcp", "XPGD46QRK7WJZT7O"),
        ("ns2/svc2:p80", "tcp", "GNZBNJ2PO5MGZ6GT"),
        ("ns3/svc3:p80", "tcp", "X27LE4BHSL4DOUIK"),
        ("ns4/svc4:p80", "tcp", "4SW47YFZTEDKD3PK"),
        ("ns5/svc5:p80", "tcp", "NUKIZ6OKUXPJNT4C"),
        ("default/kubernetes:https", "tcp", "NPX46M4PTMTKRN6Y"),
        ("kube-system/kube-dns:dns", "udp", "TCOU7JCQXEZGVUNU"),
    ],
)
def test_chain_hash_is_kube_proxys(text: str, protocol: str, expected: str) -> None:
    assert names.chain_hash(text + protocol) == expected


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        ("ns1/svc1:p80", "10.180.0.1:80", "KUBE-SEP-SXIVWICOYRO3J4NJ"),
        ("ns2/svc2:p80", "10.180.0.2:80", "KUBE-SEP-RS4RBKLTHTF2IUXJ"),
        ("ns3/svc3:p80", "10.180.0.3:80", "KUBE-SEP-OYPFS5VJICHGATKP"),
        ("ns4/svc4:p80", "10.180.0.4:80", "KUBE-SEP-UKSFD7AGPMPPLUHC"),
        ("ns4/svc4:p80", "10.180.0.5:80", "KUBE-SEP-C6EBXVWJJZMIWKLZ"),
    ],
)
def test_endpoint_chain_is_kube_proxys(text: str, address: str, expected: str) -> None:
    assert names.endpoint_chain(text, "tcp", address) == expected


def test_port_text_names_the_port_only_when_it_has_a_name() -> None:
    assert names.port_text("default", "web", "http") == "default/web:http"
    assert names.port_text("default", "web", "") == "default/web"


def test_only_chains_of_services_are_service_chains() -> None:
    assert names.is_service_chain("KUBE-SEP-SXIVWICOYRO3J4NJ")
    assert not names.is_service_chain("KUBE-SERVICES")
    assert not names.is_service_chain("KUBE-POSTROUTING")
