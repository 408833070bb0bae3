"""ServiceAccount tokens: JWTs signed with ES256, bound to the account and perhaps to a pod.

`TokenIssuer` signs and checks the text; whether the account and the pod still exist is asked of
the registry each time. The claims are upstream's (pkg/serviceaccount/claims.go).
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from controlplane.api.errors import Unauthorized
from controlplane.api.uids import new_uid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ISSUER = "https://kubernetes.default.svc.cluster.local"
COORDINATE_BYTES = 32
VERIFIED_REMEMBERED = 4096

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and the second since the epoch at which it ends."""

    token: str
    expires: int


class TokenIssuer:
    """Signs with the key in `path`, which is read at the first use; with None, with one that nobody else has."""

    def __init__(self, path: Path | None = None, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self._path = path
        self._loaded: tuple[EllipticCurvePrivateKey, str] | None = None
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    def issue(self, subject: str, audiences: Sequence[str], seconds: int, bound: dict[str, Any]) -> Issued:
        """A token for `subject`, for `seconds`; `bound` is its "kubernetes.io" claim."""
        now = int(time.time())
        claims = {
            "aud": list(audiences) or [self.issuer],
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": new_uid(),
            "kubernetes.io": bound,
            "nbf": now,
            "sub": subject,
        }
        return Issued(self._sign(claims), now + seconds)

    def claims(self, token: str, audiences: Sequence[str] = ()) -> Claims:
        """The claims of a token that is genuine and in force; Unauthorized otherwise."""
        found = self._verified.get(token)
        if found is None:
            found = self._verified[token] = self._verify(token)
            while len(self._verified) > VERIFIED_REMEMBERED:
                self._verified.popitem(last=False)
        now = time.time()
        if found.get("iss") != self.issuer or not set(found.get("aud", ())) & set(audiences or [self.issuer]):
            raise Unauthorized("Unauthorized")
        if not found["nbf"] <= now + 1 or not now < found["exp"]:
            raise Unauthorized("Unauthorized")
        return found

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517), by which others check tokens."""
        key, key_id = self._key()
        numbers = key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
        return {"keys": [{"use": "sig", "kty": "EC", "kid": key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]}

    def _sign(self, claims: Claims) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        key, key_id = self._key()
        header = {"alg": "ES256", "kid": key_id}
        text = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(claims))}"
        r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(r.to_bytes(COORDINATE_BYTES, 'big') + s.to_bytes(COORDINATE_BYTES, 'big'))}"

    def _verify(self, token: str) -> Claims:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        try:
            text, _, signature = token.rpartition(".")
            header, _, payload = text.partition(".")
            if orjson.loads(_decode(header))["alg"] != "ES256":
                raise Unauthorized("Unauthorized")
            raw = _decode(signature)
            r, s = raw[:COORDINATE_BYTES], raw[COORDINATE_BYTES:]
            encoded = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            self._key()[0].public_key().verify(encoded, text.encode(), ec.ECDSA(hashes.SHA256()))
            claims: Claims = orjson.loads(_decode(payload))
        except (Base64Error, ValueError, KeyError, TypeError, InvalidSignature) as error:
            raise Unauthorized("Unauthorized") from error
        return claims

    def _key(self) -> tuple[EllipticCurvePrivateKey, str]:
        if self._loaded is None:
            from hashlib import sha256

            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec

            key: Any
            if self._path is None:
                key = ec.generate_private_key(ec.SECP256R1())
            else:
                key = serialization.load_pem_private_key(self._path.read_bytes(), None)
            public = key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self._loaded = key, _encode(sha256(public).digest())
        return self._loaded


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
