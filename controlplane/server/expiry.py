"""When a certificate ends, read from its DER (RFC 5280, 4.1) by hand.

Nothing else of a certificate is read here, and nothing is verified. `cryptography` would read it as
well, at 15 MB and 60 ms for a daemon whose certificates are all in place.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

VALIDITY = 4
"""Place in a TBSCertificate: version, serialNumber, signature, issuer, validity."""

UTC_TIME = 0x17


def expiry(pem: bytes) -> datetime:
    """`notAfter` of the first certificate in `pem`; ValueError when there is none."""
    der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    _, certificate, _ = _element(der, 0)
    _, at, _ = _element(der, certificate)
    for _ in range(VALIDITY):
        _, _, at = _element(der, at)
    _, validity, _ = _element(der, at)
    _, _, not_after = _element(der, validity)
    tag, start, end = _element(der, not_after)
    text = der[start:end].decode("ascii")
    return datetime.strptime(text, "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the contents of the element at `at`."""
    try:
        tag, length, start = der[at], der[at + 1], at + 2
    except IndexError as error:
        raise ValueError("not a certificate") from error
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size]), start + size
    return tag, start, start + length
