"""The status of quotas follows what their namespace holds."""

from __future__ import annotations

from controlplane.api.kinds import CONFIG_MAP, POD, RESOURCE_QUOTA
from controlplane.controllers.resource_quota import ResourceQuotaController
from tests.api.controllers.conftest import World, pod_spec


async def used(world: World) -> dict[str, str]:
    quota = await world.client.get(RESOURCE_QUOTA, "small", "default")
    found: dict[str, str] = quota["status"]["used"]
    return found


async def test_what_is_used_is_counted_as_it_comes_and_goes(world: World) -> None:
    await world.client.create(CONFIG_MAP, {"metadata": {"name": "one"}}, "default")
    hard = {"pods": "5", "configmaps": "5", "requests.memory": "1Gi"}
    await world.client.create(RESOURCE_QUOTA, {"metadata": {"name": "small"}, "spec": {"hard": hard}}, "default")
    world.run(ResourceQuotaController(world.client, world.informers))

    async def shows(**expected: str) -> bool:
        return await used(world) == {name.replace("_", "."): value for name, value in expected.items()}

    await world.until(lambda: shows(pods="0", configmaps="1", requests_memory="0"))
    container = pod_spec()["containers"][0] | {"resources": {"requests": {"memory": "64Mi"}}}
    for name in ("a", "b"):
        await world.client.create(POD, {"metadata": {"name": name}, "spec": {"containers": [container]}}, "default")
    await world.until(lambda: shows(pods="2", configmaps="1", requests_memory="128Mi"))
    await world.client.delete(POD, "a", "default", grace_period_seconds=0)
    await world.client.patch(POD, "b", "default", body={"status": {"phase": "Succeeded"}}, subresource="status")
    await world.client.delete(CONFIG_MAP, "one", "default")
    await world.until(lambda: shows(pods="0", configmaps="0", requests_memory="0"))
    quota = await world.client.get(RESOURCE_QUOTA, "small", "default")
    assert quota["status"]["hard"] == hard
