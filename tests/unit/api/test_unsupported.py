"""Fields that are accepted and not honoured are told, each by its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.definitions import definitions
from controlplane.api.kinds import DEPLOYMENT, POD
from controlplane.api.schema import Array, Node, Struct
from controlplane.api.unsupported import POD_SPEC, VOLUMES

Make = Callable[..., Any]


def test_a_plain_pod_has_no_warning(create: Make, pod: Make) -> None:
    assert POD.strategy.warnings(create(POD, pod())) == []


def test_every_place_is_named(create: Make, pod: Make, deployment: Make) -> None:
    container = {
        "name": "a",
        "image": "b",
        "securityContext": {"seLinuxOptions": {"level": "s0"}},
    }
    spec = pod(
        containers=[container],
        volumes=[{"name": "v", "iscsi": {"targetPortal": "p", "iqn": "iqn.2001-04.com.example:s", "lun": 0}}],
        runtimeClassName="r",
        hostUsers=False,
    )
    expected = [
        "spec.runtimeClassName: is not applied by this version of netsim: the pod runs under the node's only runtime",
        "spec.containers[0].securityContext.seLinuxOptions: is not applied by this version of netsim: containers run "
        "without such a profile",
        "spec.hostUsers: is not applied by this version of netsim: pods have the machine's users",
        "spec.volumes[0].iscsi: is not supported by this version of netsim: the pod waits for it",
    ]
    assert POD.strategy.warnings(create(POD, spec)) == expected
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec["spec"]}
    stored = create(DEPLOYMENT, deployment(template=template))
    inner = [text.replace("spec.", "spec.template.spec.", 1) for text in expected]
    assert DEPLOYMENT.strategy.warnings(stored) == inner


def test_false_and_empty_say_nothing(create: Make, pod: Make) -> None:
    assert POD.strategy.warnings(create(POD, pod(setHostnameAsFQDN=False, runtimeClassName=""))) == []


def test_the_tables_name_fields_that_exist() -> None:
    def reach(node: Node, path: str) -> None:
        for name in path.split("."):
            assert isinstance(node, Struct), path
            node = node.fields[name.removesuffix("[]")]
            if name.endswith("[]"):
                assert isinstance(node, Array), path
                node = node.items

    for path in POD_SPEC:
        reach(definitions()["io.k8s.api.core.v1.PodSpec"], path)
    volume = definitions()["io.k8s.api.core.v1.Volume"]
    assert isinstance(volume, Struct)
    assert set(volume.fields) >= VOLUMES
