"""The Pod Security Standards: each check's words, and what labels of a namespace make of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import ApiError, Forbidden, Invalid
from controlplane.api.kinds import DEPLOYMENT, NAMESPACE, POD
from controlplane.api.podsecurity import BASELINE, RESTRICTED, sentence, violations
from controlplane.server.assembly import open_registry
from controlplane.server.registry import Registry
from controlplane.server.requests import WriteOptions

OPTIONS = WriteOptions()

HARDENED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
PLAIN_IN_RESTRICTED = (
    'allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
    '"Localhost")'
)


def spec(container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "web", "image": "nginx", **(container or {})}], **more}


def said(level: str, wrong: dict[str, Any], **annotations: str) -> str:
    return sentence(violations(level, {"annotations": annotations}, wrong))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (spec(), ""),
        (spec(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            spec({"securityContext": {"privileged": True}}),
            'privileged (container "web" must not set securityContext.privileged=true)',
        ),
        (
            spec({"securityContext": {"capabilities": {"add": ["NET_ADMIN", "CHOWN", "BPF"]}}}),
            'non-default capabilities (container "web" must not include "BPF", "NET_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (
            spec(volumes=[{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]),
            'hostPath volumes (volumes "a", "b")',
        ),
        (
            spec({"ports": [{"containerPort": 80, "hostPort": 80}]}),
            'hostPort (container "web" uses hostPort 80)',
        ),
        (
            spec({"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
            'probe or lifecycle host (container "web" uses probe or lifecycle host "10.0.0.1")',
        ),
        (
            spec({"securityContext": {"procMount": "Unmasked"}}),
            'procMount (container "web" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            spec(securityContext={"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            spec(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            spec({"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "root"}}}),
            'seLinuxOptions (container "web" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
            "user may not be set)",
        ),
    ],
)
def test_baseline(wrong: dict[str, Any], text: str) -> None:
    assert said(BASELINE, wrong) == text


def test_profiles_of_app_armor_in_fields_and_in_annotations() -> None:
    unconfined = spec(securityContext={"appArmorProfile": {"type": "Unconfined"}})
    assert said(BASELINE, unconfined) == (
        'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")'
    )
    note = {"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}
    assert said(BASELINE, spec(), **note) == (
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
        '"container.apparmor.security.beta.kubernetes.io/web=\\"unconfined\\"")'
    )


def test_restricted() -> None:
    assert said(RESTRICTED, spec({"securityContext": HARDENED})) == ""
    assert said(RESTRICTED, spec()) == PLAIN_IN_RESTRICTED
    assert said(RESTRICTED, spec({"securityContext": HARDENED | {"runAsUser": 0}})) == (
        'runAsUser=0 (container "web" must not set runAsUser=0)'
    )
    hosted = spec({"securityContext": HARDENED}, volumes=[{"name": "a", "hostPath": {"path": "/"}}])
    assert said(RESTRICTED, hosted) == ('restricted volume types (volume "a" uses restricted volume type "hostPath")')


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "state.db") as opened:
        yield opened


async def labelled(registry: Registry, **modes: str) -> None:
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in modes.items()}
    await registry.create(NAMESPACE, "", {"metadata": {"name": "shop", "labels": labels}}, OPTIONS)


async def test_enforcing_refuses_the_pod_and_not_what_makes_it(registry: Registry) -> None:
    await labelled(registry, enforce="restricted")
    with pytest.raises(Forbidden) as refused:
        await registry.create(POD, "shop", {"metadata": {"name": "web"}, "spec": spec()}, OPTIONS)
    assert refused.value.message == (
        f'pods "web" is forbidden: violates PodSecurity "restricted:latest": {PLAIN_IN_RESTRICTED}'
    )
    selector = {"matchLabels": {"app": "web"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec()}
    body = {"metadata": {"name": "web"}, "spec": {"selector": selector, "template": template}}
    await registry.create(DEPLOYMENT, "shop", body, OPTIONS)


async def test_warning_is_about_pods_and_templates(registry: Registry) -> None:
    await labelled(registry, warn="baseline")
    warnings: list[str] = []
    body = {"metadata": {"name": "web"}, "spec": spec(hostNetwork=True)}
    await registry.create(POD, "shop", body, WriteOptions(warn=warnings.append))
    assert 'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)' in warnings


async def test_levels_are_known_and_a_stricter_one_tells_of_what_runs(registry: Registry) -> None:
    with pytest.raises(Invalid, match="must be one of privileged, baseline, restricted"):
        await labelled(registry, enforce="strict")
    await labelled(registry)
    for name in ("a", "b"):
        await registry.create(POD, "shop", {"metadata": {"name": name}, "spec": spec(hostNetwork=True)}, OPTIONS)
    warnings: list[str] = []
    patch = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    try:
        await registry.patch(NAMESPACE, "shop", "", patch, "merge", WriteOptions(warn=warnings.append))
    except ApiError as error:
        raise AssertionError(error.message) from error
    assert warnings == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
