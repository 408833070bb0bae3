"""Images as a user has them: `netsim image`, and kubectl on what was loaded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import busybox_layer, save
from tests.conftest import Eventually
from tests.e2e.conftest import BIN, Cluster, run

IMAGE = "localhost/pytest-e2e/app:1"
NETSIM = str(BIN / "netsim")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image loaded from standard input, as `docker save | netsim image load -` does."""
    config = {"Cmd": ["/bin/sh", "-c", "echo I am real; exec httpd -f -p 8080"], "Env": ["PATH=/bin"]}
    archive = save(
        tmp_path_factory.mktemp("image") / "app.tar.gz", [IMAGE], [busybox_layer()], config, compression="gz"
    )
    with archive.open("rb") as stream:
        done = subprocess.run([NETSIM, "image", "load", "-"], stdin=stream, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"loaded {IMAGE}\n"), done.stderr
    yield IMAGE
    run(NETSIM, "image", "remove", "--force", IMAGE, check=False)


def listed() -> dict[str, dict[str, object]]:
    return {
        name: each for each in json.loads(run(NETSIM, "image", "list", "-o", "json").stdout) for name in each["names"]
    }


def test_a_loaded_image_runs_until_it_is_removed(
    cluster: Cluster, namespace: str, image: str, eventually: Eventually
) -> None:
    cluster.out("-n", namespace, "run", "app", f"--image={image}", "--port=8080")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
    assert cluster.out("-n", namespace, "logs", "app") == "I am real\n"
    assert cluster.out("-n", namespace, "exec", "app", "--", "ls", "/bin").split()[0] == "busybox"
    described = cluster.out("-n", namespace, "describe", "pod", "app")
    assert f'Container image "{image}" already present on machine and can be accessed by the pod' in described
    assert "stand-in" not in described

    assert listed()[image]["containers"] == [f"pod {namespace}/app of cluster {cluster.name}"]
    refused = run(NETSIM, "image", "remove", image, check=False)
    assert refused.returncode == 1
    assert f"the image {image} is in use by pod {namespace}/app of cluster {cluster.name}" in refused.stderr
    cluster.out("-n", namespace, "delete", "pod", "app", "--now")
    assert run(NETSIM, "image", "remove", image).stdout == f"removed {image}\n"
    assert image not in listed()

    cluster.out("-n", namespace, "run", "again", f"--image={image}", "--port=8080")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/again", "--timeout=60s")
    assert cluster.json("-n", namespace, "get", "pod", "again")["status"]["containerStatuses"][0]["imageID"].startswith(
        "standin://"
    )


def test_a_wrong_name_is_told_as_upstream_tells_it(cluster: Cluster, namespace: str, eventually: Eventually) -> None:
    container = {"name": "c", "image": "Not/An/Image"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong"}, "spec": {"containers": [container]}}
    cluster.out("-n", namespace, "create", "-f", "-", stdin=json.dumps(pod))

    def shown() -> bool:
        return "InvalidImageName" in cluster.out("-n", namespace, "get", "pod", "wrong")

    eventually(shown)
    assert "couldn't parse image name" in cluster.out("-n", namespace, "describe", "pod", "wrong")


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    cases = {
        ("load", "/no/such/file"): "there is no file /no/such/file",
        ("load", str(tmp_path)): f"{tmp_path} is not a docker archive, an OCI archive or an OCI layout",
        ("remove", "no-such:1"): "there is no image no-such:1",
        ("pull", "127.0.0.1:1/app"): "connection refused",
        ("pull", "UPPER"): "repository name must be lowercase",
    }
    for arguments, message in cases.items():
        done = run(NETSIM, "image", *arguments, check=False)
        assert done.returncode == 1
        assert message in done.stderr
