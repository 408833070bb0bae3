"""Reviews: questions about identity and permission that are posted, answered and never stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from controlplane.api import decode as decoding
from controlplane.api.errors import BadRequest, FieldError, Invalid, Unauthorized
from controlplane.api.field import invalid
from controlplane.api.kinds import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SERVED,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)
from controlplane.api.selectors import FieldSelector, parse_fields
from controlplane.api.types import Kind, Object
from controlplane.server.authentication import Authenticator
from controlplane.server.authorization import Action, Authorizer
from controlplane.server.requests import User, WriteOptions

COLLECTION_VERBS = ("list", "watch", "deletecollection")

EXACTLY_ONE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
NOT_BOTH = "cannot be specified in combination with resourceAttributes"
NO_SUBJECT = "at least one of user or group must be specified"
ONLY_RESOURCES = "disallowed on this kind of request"
ONE_NAMESPACE = "must match metadata.namespace"


class Reviews:
    """Answers every kind of review."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._answers: dict[str, Callable[[Object, User], Object]] = {
            TOKEN_REVIEW.name: self._token,
            SELF_SUBJECT_REVIEW.name: lambda spec, user: {"userInfo": _user_info(user)},
            SELF_SUBJECT_ACCESS_REVIEW.name: self._access,
            SUBJECT_ACCESS_REVIEW.name: self._subject_access,
            LOCAL_SUBJECT_ACCESS_REVIEW.name: self._subject_access,
            SELF_SUBJECT_RULES_REVIEW.name: self._rules,
        }

    def takes(self, kind: Kind) -> bool:
        """Whether `kind` is a review."""
        return kind.name in self._answers

    def answer(self, kind: Kind, body: Any, namespace: str, options: WriteOptions) -> Object:
        """The review with its status; `namespace` is that of the request's path."""
        review, warnings = decoding.decode_object(kind, body, options.field_validation, duplicates=options.duplicates)
        for text in warnings:
            options.warn(text)
        errors = _errors(kind, review.get("spec", {}), namespace)
        if errors:
            raise Invalid.of(kind.group, kind.name, review.get("metadata", {}).get("name", ""), errors)
        return review | {"status": self._answers[kind.name](review.get("spec", {}), options.user)}

    def _token(self, spec: Object, _user: User) -> Object:
        audiences = tuple(spec.get("audiences", ()))
        try:
            found = self._authenticator.token_user(spec.get("token", ""), audiences)
        except Unauthorized:
            return {"user": {}, "error": "token is not valid"}
        return {"authenticated": True, "user": _user_info(found)} | (
            {"audiences": list(audiences)} if audiences else {}
        )

    def _access(self, spec: Object, user: User) -> Object:
        decision = self._authorizer.decide(user, _asked(spec))
        return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})

    def _subject_access(self, spec: Object, _user: User) -> Object:
        return self._access(spec, User(spec.get("user", ""), tuple(spec.get("groups", ())), spec.get("uid", "")))

    def _rules(self, spec: Object, user: User) -> Object:
        namespace = spec.get("namespace", "")
        if not namespace:
            raise BadRequest("no namespace on request")
        held = self._authorizer.permissions(user, namespace)
        resources = [rule for rule in held.rules if "resources" in rule]
        paths = [rule for rule in held.rules if "nonResourceURLs" in rule]
        status: Object = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": held.incomplete}
        return status | ({"evaluationError": held.error} if held.error else {})


def _asked(spec: Object) -> Action:
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Action(path.get("verb", ""), path=path.get("path", "") or "/")
    asked = spec["resourceAttributes"]
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return replace(Action(*(asked.get(name, "") for name in names)), fields=_narrowed(asked))


def _narrowed(asked: Object) -> FieldSelector | None:
    """What a collection that is asked about is narrowed to; what cannot be read narrows nothing, as upstream has it."""
    selector = asked.get("fieldSelector")
    kinds = (one for one in SERVED if (one.group, one.plural) == (asked.get("group", ""), asked.get("resource")))
    kind = next(kinds, None)
    if selector is None or kind is None or asked.get("verb") not in COLLECTION_VERBS:
        return None
    if selector.get("rawSelector"):
        with suppress(BadRequest):
            return parse_fields(kind, selector["rawSelector"])
        return None
    terms = [
        (one.get("key", ""), one["operator"] == "In", one["values"][0])
        for one in selector.get("requirements", ())
        if one.get("operator") in ("In", "NotIn") and len(one.get("values", ())) == 1
    ]
    return FieldSelector(kind, tuple(terms))


def _errors(kind: Kind, spec: Object, namespace: str) -> list[FieldError]:
    """What is wrong with a question about access."""
    if kind not in (SELF_SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW, LOCAL_SUBJECT_ACCESS_REVIEW):
        return []
    errors: list[FieldError] = []
    by_path, by_resource = spec.get("nonResourceAttributes"), spec.get("resourceAttributes")
    if by_path is not None and by_resource is not None:
        errors.append(invalid("spec.nonResourceAttributes", by_path, NOT_BOTH))
    for name in ("fieldSelector", "labelSelector"):
        selector = (by_resource or {}).get(name, {})
        if selector.get("rawSelector") and selector.get("requirements"):
            where = f"spec.resourceAttributes.{name}.rawSelector"
            text = "may not specified at the same time as requirements"
            errors.append(invalid(where, selector["rawSelector"], text))
    if by_path is None and by_resource is None:
        errors.append(invalid("spec.resourceAttributes", None, EXACTLY_ONE))
    if kind is not SELF_SUBJECT_ACCESS_REVIEW and not spec.get("user") and not spec.get("groups"):
        errors.append(invalid("spec.user", "", NO_SUBJECT))
    if kind is LOCAL_SUBJECT_ACCESS_REVIEW:
        if by_resource is not None and by_resource.get("namespace", "") != namespace:
            where = by_resource.get("namespace", "")
            errors.append(invalid("spec.resourceAttributes.namespace", where, ONE_NAMESPACE))
        if by_path is not None:
            errors.append(invalid("spec.nonResourceAttributes", by_path, ONLY_RESOURCES))
    return errors


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    return info
