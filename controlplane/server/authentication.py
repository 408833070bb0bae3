"""Who is asking: by bearer token, by client certificate, or nobody in particular."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api.errors import NotFound, Unauthorized
from controlplane.api.kinds import POD, SERVICE_ACCOUNT
from controlplane.server.registry import Registry
from controlplane.server.requests import ANONYMOUS, AUTHENTICATED, User

BEARER = "bearer "


class Authenticator:
    """`static` maps tokens to users; all other tokens are service accounts'."""

    def __init__(self, registry: Registry, static: Mapping[str, User]) -> None:
        self._registry = registry
        self._static = dict(static)

    def user(self, authorization: str, certificate: Mapping[str, Any] | None) -> User:
        """The user of a request; Unauthorized when it shows a credential that is not good."""
        if authorization[: len(BEARER)].lower() == BEARER:
            return self.token_user(authorization[len(BEARER) :].strip())
        if certificate:
            return _certificate_user(certificate)
        return ANONYMOUS

    def token_user(self, token: str, audiences: tuple[str, ...] = ()) -> User:
        """The user that a token stands for; Unauthorized when it is none, or its account or pod has gone."""
        known = self._static.get(token)
        if known is not None:
            return known
        claims = self._registry.tokens.claims(token, audiences)
        bound: Mapping[str, Any] = claims["kubernetes.io"]
        namespace, account = bound["namespace"], bound["serviceaccount"]
        try:
            found = self._registry.get(SERVICE_ACCOUNT, account["name"], namespace).document
            pod = bound.get("pod")
            if pod and self._registry.get(POD, pod["name"], namespace).document["metadata"]["uid"] != pod["uid"]:
                raise Unauthorized("Unauthorized")
        except NotFound as error:
            raise Unauthorized("Unauthorized") from error
        if found["metadata"]["uid"] != account["uid"]:
            raise Unauthorized("Unauthorized")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"], _extra(claims, bound))


def _certificate_user(certificate: Mapping[str, Any]) -> User:
    """CN is the name, each O a group."""
    name, groups = "", []
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED))


def _extra(claims: Mapping[str, Any], bound: Mapping[str, Any]) -> dict[str, list[str]]:
    extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
    for part in ("pod", "node"):
        if part in bound:
            for field in ("name", "uid"):
                if field in bound[part]:
                    extra[f"authentication.kubernetes.io/{part}-{field}"] = [bound[part][field]]
    return extra
