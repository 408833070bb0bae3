"""Certificates: made once, kept, renewed when their names change; and tokens that are genuine or not."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from controlplane.api.errors import Unauthorized
from controlplane.server.expiry import expiry
from controlplane.server.pki import Pki
from controlplane.server.tokens import TokenIssuer


def test_files_are_made_once_and_keys_are_private(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    pki.ensure(["localhost"], ["127.0.0.1"])
    before = {path.name: path.read_bytes() for path in pki.directory.iterdir()}
    pki.ensure(["localhost"], ["127.0.0.1"])
    assert {path.name: path.read_bytes() for path in pki.directory.iterdir()} == before
    for path in pki.directory.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_in_place_is_found_without_loading_the_library(tmp_path: Path) -> None:
    Pki(tmp_path).ensure(["localhost"], [])
    Pki(tmp_path).client("admin", "admin")
    again = f"""
import pathlib, sys
from controlplane.server.pki import Pki
pki = Pki(pathlib.Path({str(tmp_path)!r}))
pki.ensure(["localhost"], [])
pki.client("admin", "admin")
sys.exit("cryptography" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", again], check=False).returncode == 0


@pytest.mark.parametrize("days", [1, 365, 3650, 365 * 40])
def test_when_a_certificate_ends(days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)])
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(datetime.now(UTC)).not_valid_after(end).sign(key, hashes.SHA256())
    assert expiry(made.public_bytes(Encoding.PEM)) == end


def test_another_address_means_another_serving_certificate(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(["localhost"], ["127.0.0.1"])
    authority, first = pki.ca_certificate.read_bytes(), pki.server_certificate.read_bytes()
    pki.ensure(["localhost"], ["127.0.0.1", "10.128.0.2"])
    assert pki.ca_certificate.read_bytes() == authority
    assert pki.server_certificate.read_bytes() != first
    names = x509.load_pem_x509_certificate(pki.server_certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(one) for one in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.128.0.2"]


def test_client_certificates_name_user_and_groups(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(["localhost"], ["127.0.0.1"])
    made = pki.client("admin", "someone", ["system:masters", "others"])
    assert pki.client("admin", "someone", ["system:masters", "others"]) == made
    subject = x509.load_pem_x509_certificate(made.certificate).subject.rfc4514_string()
    assert subject == "CN=someone,O=others,O=system:masters"


def test_strict_clients_accept_the_server_and_it_them(tmp_path: Path) -> None:
    """Python verifies strictly from 3.13 on: key identifiers, key usage."""
    pki = Pki(tmp_path)
    pki.ensure(["localhost"], ["127.0.0.1"])
    pki.client("admin", "someone")
    contexts = {}
    for side, purpose, name in (
        ("server", ssl.PROTOCOL_TLS_SERVER, "apiserver"),
        ("client", ssl.PROTOCOL_TLS_CLIENT, "admin"),
    ):
        context = contexts[side] = ssl.SSLContext(purpose)
        context.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        context.load_verify_locations(pki.ca_certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    one, other = socket.socketpair()
    with one, other, ThreadPoolExecutor(1) as executor:
        accepted = executor.submit(contexts["server"].wrap_socket, one, server_side=True)
        with contexts["client"].wrap_socket(other, server_hostname="127.0.0.1"), accepted.result(5) as served:
            assert served.getpeercert()


def test_tokens_are_checked(tmp_path: Path) -> None:
    issuer = TokenIssuer()
    token = issuer.issue("system:serviceaccount:a:b", [], 600, {"namespace": "a"}).token
    assert issuer.claims(token)["sub"] == "system:serviceaccount:a:b"
    with pytest.raises(Unauthorized):
        issuer.claims(token, ["somebody-else"])
    with pytest.raises(Unauthorized):
        issuer.claims(issuer.issue("x", [], -5, {}).token)
    with pytest.raises(Unauthorized):
        TokenIssuer().claims(token)
    for bad in ("", "a.b.c", token[:-2], f"{token}x"):
        with pytest.raises(Unauthorized):
            issuer.claims(bad)
