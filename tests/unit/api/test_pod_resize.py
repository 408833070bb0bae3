"""pods/resize: what of a running pod may change, in upstream's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.kinds import POD

Make = Callable[..., Any]
PART = POD.strategy.parts["resize"]
AMOUNTS = {"cpu": "100m", "memory": "64Mi"}


@pytest.fixture
def resize(create: Make, pod: Make) -> Callable[..., Any]:
    """resize(resources): the pod after a resize of its container, or the errors."""

    def run(resources: dict[str, Any], **more: Any) -> Any:
        body = pod()
        body["spec"]["containers"][0]["resources"] = {"requests": AMOUNTS}
        old = create(POD, body)
        new = copy.deepcopy(old)
        new["spec"]["containers"][0] |= {"resources": resources, "image": "other", **more}
        PART.prepare_update(new, old)
        POD.strategy.default(new)
        errors = PART.validate_update(new, old)
        return [f"{error.field}: {error.body}" for error in errors] if errors else new

    return run


def test_only_resources_change(resize: Make) -> None:
    stored = resize({"requests": {"cpu": "200m", "memory": "64Mi"}})
    container = stored["spec"]["containers"][0]
    assert (container["resources"]["requests"]["cpu"], container["image"]) == ("200m", "nginx:1.27")
    assert stored["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        (
            {"requests": {"cpu": "1"}},
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        ({"requests": AMOUNTS, "limits": AMOUNTS}, "Pod QOS Class may not change as a result of resizing"),
        (
            {"requests": AMOUNTS | {"ephemeral-storage": "1Gi"}},
            "spec.containers[0].resources.requests: Forbidden: only cpu and memory resources are mutable",
        ),
    ],
)
def test_what_may_not_change(resize: Make, resources: dict[str, Any], complaint: str) -> None:
    assert any(complaint in error for error in resize(resources))
