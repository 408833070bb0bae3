"""The real kubectl against the server: what it prints and stores."""

from __future__ import annotations

from tests.api.conftest import Kubectl, Served


async def test_version_shows_the_servers(kubectl: Kubectl) -> None:
    done = await kubectl("version")
    assert done.status == 0, done.stderr
    assert "Server Version: v1.37." in done.stdout


async def test_create_get_and_delete(kubectl: Kubectl, served: Served) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    done = await kubectl("create", "--validate=false", "-f", "-", stdin=body)
    assert done.stdout == "configmap/a created\n", done.stderr
    done = await kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}")
    assert done.stdout == "v", done.stderr
    done = await kubectl("delete", "cm", "a")
    assert done.stdout.startswith('configmap "a" deleted'), done.stderr
    done = await kubectl("get", "cm", "a")
    assert done.stderr == 'Error from server (NotFound): configmaps "a" not found\n'
