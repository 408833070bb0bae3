from __future__ import annotations

import pytest

from controlplane.node.errors import ImageFailure
from controlplane.node.images.reference import default_pull_policy, parse


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("in28min/hello-world-rest-api:0.0.1.RELEASE", "docker.io/in28min/hello-world-rest-api:0.0.1.RELEASE"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("busybox@sha256:" + "a" * 64, "docker.io/library/busybox@sha256:" + "a" * 64),
    ],
)
def test_defaults_are_filled_in(text: str, full: str) -> None:
    assert str(parse(text)) == full


@pytest.mark.parametrize("text", ["", "Busy:::box", "a b", "nginx:", "nginx:tag:tag", "-x", "a//b", "NGINX"])
def test_a_wrong_name_is_an_invalid_image_name(text: str) -> None:
    with pytest.raises(ImageFailure) as caught:
        parse(text)
    assert caught.value.reason == "InvalidImageName"
    assert f'couldn\'t parse image name "{text}"' in str(caught.value)


def test_capitals_are_named_as_the_fault() -> None:
    with pytest.raises(ImageFailure, match="repository name must be lowercase"):
        parse("MyImage")


def test_latest_is_pulled_always() -> None:
    assert default_pull_policy("nginx") == "Always"
    assert default_pull_policy("nginx:1.25") == "IfNotPresent"
