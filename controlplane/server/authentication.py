"""Who is asking: by bearer token, by client certificate, or nobody in particular; and in whose name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from multidict import MultiMapping

from controlplane.api.errors import BadRequest, NotFound, Unauthorized
from controlplane.api.kinds import POD, SERVICE_ACCOUNT
from controlplane.server.authorization import Action, Authorizer, authorize
from controlplane.server.registry import Registry
from controlplane.server.requests import ANONYMOUS, AUTHENTICATED, User

BEARER = "bearer "
EXTRA = "impersonate-extra-"
AUTHENTICATION = "authentication.k8s.io"
SERVICE_ACCOUNT_USER = "system:serviceaccount:"


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


def impersonated(authorizer: Authorizer, user: User, headers: MultiMapping[str]) -> User:
    """The user whom `user` asks to act as, `user` itself when he does not; Forbidden when he may not."""
    name = headers.get("Impersonate-User", "")
    groups = headers.getall("Impersonate-Group", [])
    if not name:
        if groups or "Impersonate-Uid" in headers:
            raise BadRequest("requested impersonation without impersonating a user")
        return user
    extra: dict[str, list[str]] = {}
    for header, value in headers.items():
        if header.lower().startswith(EXTRA):
            extra.setdefault(unquote(header[len(EXTRA) :].lower()), []).append(value)
    for action in _impersonations(name, groups, headers.get("Impersonate-Uid", ""), extra):
        authorize(authorizer, user, action)
    if name.startswith(SERVICE_ACCOUNT_USER) and not groups:
        namespace = name.removeprefix(SERVICE_ACCOUNT_USER).partition(":")[0]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    known = () if name == ANONYMOUS.name or AUTHENTICATED in groups else (AUTHENTICATED,)
    return User(name, (*groups, *known), headers.get("Impersonate-Uid", ""), extra)


def _impersonations(name: str, groups: list[str], uid: str, extra: Mapping[str, list[str]]) -> Iterator[Action]:
    """What one has to be allowed in order to act as somebody."""
    namespace, _, account = name.removeprefix(SERVICE_ACCOUNT_USER).partition(":")
    if name.startswith(SERVICE_ACCOUNT_USER) and account:
        yield Action("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
    else:
        yield Action("impersonate", resource="users", name=name)
    for group in groups:
        yield Action("impersonate", resource="groups", name=group)
    if uid:
        yield Action("impersonate", AUTHENTICATION, "uids", name=uid)
    for key, values in extra.items():
        for value in values:
            yield Action("impersonate", AUTHENTICATION, "userextras", key, name=value)


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
