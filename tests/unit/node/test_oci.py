"""What the OCI runtime is told."""

from __future__ import annotations

from pathlib import Path

from controlplane.node.runtime import oci


def _plan(security: oci.Security) -> oci.ContainerPlan:
    return oci.ContainerPlan(
        id="a",
        root=Path("/root"),
        argv=["sh"],
        environment={},
        cwd="/",
        cgroup="/c",
        namespaces=oci.Namespaces(None, None, None),
        security=security,
    )


def test_where_devices_cannot_be_limited_none_can_be_made() -> None:
    limited = oci.config(_plan(oci.Security()), unified_cgroup=True, controllers=())
    free = oci.config(_plan(oci.Security()), unified_cgroup=True, controllers=(), device_rules=False)
    assert limited["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert "devices" not in free["linux"]["resources"]
    assert "CAP_MKNOD" in limited["process"]["capabilities"]["bounding"]
    assert "CAP_MKNOD" not in free["process"]["capabilities"]["bounding"]
