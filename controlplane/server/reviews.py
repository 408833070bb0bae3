"""Reviews: questions about identity and permission that are posted, answered and never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import decode as decoding
from controlplane.api.errors import Unauthorized
from controlplane.api.kinds import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)
from controlplane.api.types import Kind, Object
from controlplane.server.authentication import Authenticator
from controlplane.server.authorization import DISCOVERY, PUBLIC, SELF_REVIEWS, Action, allowed
from controlplane.server.requests import User, WriteOptions


class Reviews:
    """Answers every kind of review."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._answers: dict[str, Callable[[Object, User], Object]] = {
            TOKEN_REVIEW.name: self._token,
            SELF_SUBJECT_REVIEW.name: lambda spec, user: {"userInfo": _user_info(user)},
            SELF_SUBJECT_ACCESS_REVIEW.name: _access,
            SUBJECT_ACCESS_REVIEW.name: _subject_access,
            LOCAL_SUBJECT_ACCESS_REVIEW.name: _subject_access,
            SELF_SUBJECT_RULES_REVIEW.name: _rules,
        }

    def takes(self, kind: Kind) -> bool:
        """Whether `kind` is a review."""
        return kind.name in self._answers

    def answer(self, kind: Kind, body: Any, options: WriteOptions) -> Object:
        """The review with its status."""
        review, warnings = decoding.decode_object(kind, body, options.field_validation, duplicates=options.duplicates)
        for text in warnings:
            options.warn(text)
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


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    return info


def _access(spec: Object, user: User) -> Object:
    path = spec.get("nonResourceAttributes")
    if path is not None:
        action = Action(path.get("verb", ""), path=path.get("path", "") or "/")
    else:
        asked = spec.get("resourceAttributes", {})
        action = Action(
            asked.get("verb", ""),
            asked.get("group", ""),
            asked.get("resource", ""),
            asked.get("subresource", ""),
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
    return {"allowed": allowed(user, action)}


def _subject_access(spec: Object, _user: User) -> Object:
    return _access(spec, User(spec.get("user", ""), tuple(spec.get("groups", ()))))


def _rules(spec: Object, user: User) -> Object:
    everything = allowed(user, Action("*", "*", "*"))
    if everything:
        resources = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        paths = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    else:
        groups = ["authorization.k8s.io", "authentication.k8s.io"]
        resources = [{"verbs": ["create"], "apiGroups": groups, "resources": list(SELF_REVIEWS)}]
        roots = [*PUBLIC, *DISCOVERY]
        paths = [{"verbs": ["get"], "nonResourceURLs": [*roots, *(f"{root}/*" for root in roots)]}]
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
