"""pods/ephemeralcontainers: what may be added to a running pod, in upstream's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import FieldError
from controlplane.api.kinds import POD

Make = Callable[..., Any]
PART = POD.strategy.parts["ephemeralcontainers"]
PLACE = "spec.ephemeralContainers"


@pytest.fixture
def write(create: Make, pod: Make) -> Callable[..., Any]:
    """write(containers, before=…): the pod after a write to the subresource, or the errors."""

    def run(*containers: dict[str, Any], before: Any = None) -> Any:
        old = before or create(POD, pod())
        new = copy.deepcopy(old)
        new["spec"]["ephemeralContainers"] = list(copy.deepcopy(containers))
        new["spec"]["nodeName"] = "elsewhere"
        new["status"] = {"phase": "Failed"}
        PART.prepare_update(new, old)
        POD.strategy.default(new)
        errors = PART.validate_update(new, old)
        return [shown(error) for error in errors] if errors else new

    return run


def shown(error: FieldError) -> str:
    return f"{error.field}: {error.body}"


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "debugger", "image": "busybox", **fields}


def test_only_ephemeral_containers_are_written(write: Make) -> None:
    stored = write(container(targetContainerName="web", stdin=True, tty=True))
    assert stored["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "Always"
    assert "nodeName" not in stored["spec"]
    assert stored["status"]["phase"] == "Pending"
    assert stored["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "web"}, '[0].name: Duplicate value: "web"'),
        ({"targetContainerName": "other"}, '[0].targetContainerName: Not found: "other"'),
        ({"ports": [{"containerPort": 80}]}, "[0].ports: Forbidden: cannot be set for an Ephemeral Container"),
        ({"restartPolicy": "Always"}, "[0].restartPolicy: Forbidden: may not be set for ephemeral containers"),
        ({"image": ""}, "[0].image: Required value"),
        (
            {"resources": {"limits": {"cpu": "1"}}},
            "[0].resources: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            {"livenessProbe": {"httpGet": {"port": 80}}},
            "[0].livenessProbe: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ],
)
def test_what_cannot_be_added(write: Make, fields: dict[str, Any], complaint: str) -> None:
    assert write(container(**fields))[0] == f"{PLACE}{complaint}"


def test_sub_paths_are_refused(write: Make, create: Make, pod: Make) -> None:
    before = create(POD, pod(volumes=[{"name": "v", "emptyDir": {}}]))
    mount = {"name": "v", "mountPath": "/v", "subPath": "a"}
    errors = write(container(volumeMounts=[mount]), before=before)
    assert errors == [f"{PLACE}[0].volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container"]


def test_what_was_added_stays_as_it_is(write: Make) -> None:
    before = write(container())
    assert write(before=before) == [
        f'{PLACE}: Forbidden: existing ephemeral containers "debugger" may not be removed\n'
    ]
    (changed,) = write(container(image="other"), before=before)
    assert changed.startswith(f'{PLACE}: Forbidden: existing ephemeral containers "debugger" may not be changed\n')
    assert '-  image: "busybox"\n+  image: "other"' in changed
    second = write(before["spec"]["ephemeralContainers"][0], container(name="two"), before=before)
    assert [one["name"] for one in second["spec"]["ephemeralContainers"]] == ["debugger", "two"]


def test_a_pod_cannot_begin_with_them_nor_get_them_by_its_own_update(
    errors: Make, create: Make, update: Make, pod: Make
) -> None:
    assert f"{PLACE}: Forbidden: cannot be set on create" in errors(POD, pod(ephemeralContainers=[container()]))
    old = create(POD, pod())
    new = old | {"spec": old["spec"] | {"ephemeralContainers": [container()]}}
    with pytest.raises(Exception, match="pod updates may not change fields other than"):
        update(POD, new, old)
