"""The cluster's certificates: one CA, the server's certificate, and client certificates (all EC P-256).

Files live in the cluster's pki directory, keys 0600. They are made when absent or about to expire;
the serving certificate also when it lacks a name or address. `cryptography` costs 15 MB, so it is
imported only where something is made or signed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.server.expiry import expiry
from netsim import files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_DAYS = 30
BACKDATED = timedelta(minutes=5)
"""Certificates are valid from a little earlier, for clients whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Pki:
    """The certificates in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_certificate = directory / "ca.crt"
        self.server_certificate = directory / "apiserver.crt"
        self.server_key = directory / "apiserver.key"
        self.service_account_key = directory / "service-account.key"
        self._ca_key = directory / "ca.key"

    def ensure(self, names: Sequence[str], addresses: Sequence[str]) -> None:
        """Makes what is missing; the server answers as each of `names` and `addresses`."""
        self.ensure_authority()
        if not self.service_account_key.exists():
            _keep(self.service_account_key, _key_pem(_new_key()))
        if not self._server_certificate_serves(names, addresses):
            self._create_server_certificate(names, addresses)

    def ensure_authority(self) -> None:
        """Makes only the CA, where it is missing: for a second one, whose certificates mean something else."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.ca_certificate.exists() and self._ca_key.exists()):
            self._create_ca()

    @property
    def front_proxy(self) -> Pki:
        """The CA of the certificate by which extension API servers know this server."""
        return Pki(self.directory / "front-proxy")

    def client(self, file: str, user: str, groups: Sequence[str] = ()) -> Pair:
        """A client certificate for `user` (CN) in `groups` (O), kept as FILE.crt and FILE.key."""
        certificate, key = self.directory / f"{file}.crt", self.directory / f"{file}.key"
        if not (certificate.exists() and key.exists()) or _expires_soon(certificate.read_bytes()):
            made = self.issue_client(user, groups)
            _keep(key, made.key)
            _keep(certificate, made.certificate)
        return Pair(certificate.read_bytes(), key.read_bytes())

    def issue_client(self, user: str, groups: Sequence[str] = ()) -> Pair:
        """A new client certificate that is not kept."""
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        key = _new_key()
        builder = _builder(x509.Name(subject), key, LEAF_DAYS)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return Pair(self.sign(builder), _key_pem(key))

    def _create_ca(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import NameOID

        key = _new_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "netsim-ca")])
        builder = _builder(name, key, CA_DAYS, authority=True).issuer_name(name)
        _keep(self._ca_key, _key_pem(key))
        _keep(self.ca_certificate, _certificate_pem(builder.sign(key, hashes.SHA256())))

    def _create_server_certificate(self, names: Sequence[str], addresses: Sequence[str]) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = _builder(subject, key, LEAF_DAYS)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        _keep(self.server_key, _key_pem(key))
        _keep(self.server_certificate, self.sign(builder))
        _keep(self.directory / "apiserver.names", _names_text(names, addresses).encode())

    def _server_certificate_serves(self, names: Sequence[str], addresses: Sequence[str]) -> bool:
        known = self.directory / "apiserver.names"
        if not (self.server_certificate.exists() and self.server_key.exists() and known.exists()):
            return False
        return known.read_text() == _names_text(names, addresses) and not _expires_soon(
            self.server_certificate.read_bytes()
        )

    def sign(self, builder: CertificateBuilder) -> bytes:
        """What `builder` says, signed by the CA, as PEM."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        authority = x509.load_pem_x509_certificate(self.ca_certificate.read_bytes())
        key = serialization.load_pem_private_key(self._ca_key.read_bytes(), None)
        # Python's clients demand the key identifiers from 3.13 on.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
        builder = builder.issuer_name(authority.subject).add_extension(issuer, critical=False)
        return _certificate_pem(builder.sign(key, hashes.SHA256()))  # type: ignore[arg-type]


def _names_text(names: Sequence[str], addresses: Sequence[str]) -> str:
    return "\n".join([*sorted(names), *sorted(addresses), ""])


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: object, key: EllipticCurvePrivateKey, days: int, *, authority: bool = False
) -> CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)  # type: ignore[arg-type]
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_encipherment=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _expires_soon(pem: bytes) -> bool:
    return expiry(pem) - datetime.now(UTC) < timedelta(days=RENEW_DAYS)


def _keep(path: Path, data: bytes) -> None:
    """Whole and on the disk, or not there: a torn certificate would pass for one at the next start."""
    files.replace(path, data, mode=0o600, durable=True)
