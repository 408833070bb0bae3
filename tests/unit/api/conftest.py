"""One write as the registry does it, without a store, and bodies to write."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.decode import decode_object
from controlplane.api.errors import Invalid
from controlplane.api.types import Kind, Object

Body = dict[str, Any]


def _create(kind: Kind, body: Body) -> Object:
    obj = decode_object(kind, copy.deepcopy(body)).object
    metadata = obj.setdefault("metadata", {})
    if kind.namespaced:
        metadata.setdefault("namespace", "default")
    kind.strategy.default(obj)
    meta.prepare_create(obj)
    kind.strategy.prepare_create(obj)
    errors = kind.strategy.validate(obj)
    if errors:
        raise Invalid.of(kind.group, kind.name, metadata.get("name", ""), errors)
    metadata["resourceVersion"] = "1"
    return obj


def _update(kind: Kind, new: Body, old: Object) -> Object:
    obj = decode_object(kind, copy.deepcopy(new)).object
    meta.prepare_update(obj, old)
    kind.strategy.default(obj)
    kind.strategy.prepare_update(obj, old)
    errors = kind.strategy.validate_update(obj, old)
    if errors:
        raise Invalid.of(kind.group, kind.name, obj["metadata"].get("name", ""), errors)
    return obj


def _errors(kind: Kind, body: Body) -> list[str]:
    try:
        _create(kind, body)
    except Invalid as error:
        return [f"{cause['field']}: {cause['message']}" for cause in (error.details or {})["causes"]]
    return []


def _pod(**spec: Any) -> Body:
    return {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}], **spec}}


def _deployment(**spec: Any) -> Body:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": _pod()["spec"]}
    selector = {"matchLabels": {"app": "web"}}
    return {"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": selector, "template": template, **spec}}


def _service(**spec: Any) -> Body:
    return {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


@pytest.fixture
def create() -> Callable[[Kind, Body], Object]:
    """create(kind, body): the object as it would be stored; Invalid as it would be answered."""
    return _create


@pytest.fixture
def update() -> Callable[[Kind, Body, Object], Object]:
    """update(kind, new, old): the object that would replace `old`; Invalid as it would be answered."""
    return _update


@pytest.fixture
def errors() -> Callable[[Kind, Body], list[str]]:
    """errors(kind, body): what is wrong with a body, "path: text" each."""
    return _errors


@pytest.fixture
def pod() -> Callable[..., Body]:
    """pod(**spec): a pod body with a single container."""
    return _pod


@pytest.fixture
def deployment() -> Callable[..., Body]:
    """deployment(**spec): a Deployment body of three replicas."""
    return _deployment


@pytest.fixture
def service() -> Callable[..., Body]:
    """service(**spec): a Service body with one port."""
    return _service
