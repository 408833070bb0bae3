"""Every further kind by the real kubectl: applied twice, printed, described and deleted."""

from __future__ import annotations

import re

import pytest

from tests.api.conftest import Kubectl
from tests.api.kinds.samples import samples

VERSIONS = "jsonpath={.items[*].metadata.resourceVersion}"
OLD_AUTOSCALERS = "horizontalpodautoscalers.v1.autoscaling"
LIST = {"apiVersion": "v1", "kind": "List"}

WIDE = {
    "persistentvolume/web": "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS "
    "VOLUMEATTRIBUTESCLASS REASON AGE VOLUMEMODE",
    "persistentvolumeclaim/web": "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE "
    "VOLUMEMODE",
    "poddisruptionbudget.policy/web": "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE",
    "horizontalpodautoscaler.autoscaling/web": "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE",
    "ingress.networking.k8s.io/web": "NAME CLASS HOSTS ADDRESS PORTS AGE",
    "storageclass.storage.k8s.io/web": "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE",
    "certificatesigningrequest.certificates.k8s.io/web": "NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION",
    "csidriver.storage.k8s.io/web": "NAME ATTACHREQUIRED PODINFOONMOUNT STORAGECAPACITY TOKENREQUESTS "
    "REQUIRESREPUBLISH MODES AGE",
}


async def test_applied_printed_described_and_deleted(kubectl: Kubectl) -> None:
    bodies = LIST | {"items": samples()}
    created = await kubectl("apply", "-f", "-", stdin=bodies)
    assert (created.status, created.stdout.count(" created")) == (0, len(bodies["items"])), created.stderr
    assert "Warning: Ingress: no Ingress controller is running in this cluster" in created.stderr
    assert "Warning: PersistentVolume" not in created.stderr
    before = await kubectl("get", "-f", "-", "-o", VERSIONS, stdin=bodies)
    again = await kubectl("apply", "-f", "-", stdin=bodies)
    assert (again.status, (await kubectl("get", "-f", "-", "-o", VERSIONS, stdin=bodies)).stdout) == (0, before.stdout)
    described = await kubectl("describe", "-f", "-", stdin=bodies)
    assert (described.status, described.stdout.count("Name:  ") >= len(bodies["items"])) == (0, True), described.stderr
    for name, columns in WIDE.items():
        shown = await kubectl("get", name, "-o", "wide")
        assert re.sub(r"\s+", " ", shown.stdout.splitlines()[0]).strip() == columns, name
    gone = await kubectl("delete", "--wait=false", "-f", "-", stdin=bodies)
    assert (gone.status, gone.stdout.count("deleted")) == (0, len(bodies["items"])), gone.stderr


async def test_a_request_for_a_certificate_is_approved(kubectl: Kubectl) -> None:
    body = next(one for one in samples() if one["kind"] == "CertificateSigningRequest")
    await kubectl("create", "-f", "-", stdin=body)
    pending = await kubectl("get", "csr", "--no-headers")
    assert pending.stdout.split()[3:] == ["admin", "<none>", "Pending"]
    approved = await kubectl("certificate", "approve", "web")
    assert approved.stdout == "certificatesigningrequest.certificates.k8s.io/web approved\n", approved.stderr
    denied = await kubectl("certificate", "deny", "web")
    assert denied.status == 1
    shown = await kubectl("get", "csr", "--no-headers")
    assert shown.stdout.split()[-1] == "Approved"


async def test_an_autoscaler_is_one_object_in_two_versions(kubectl: Kubectl) -> None:
    body = next(one for one in samples() if one["kind"] == "HorizontalPodAutoscaler")
    body["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    assert (await kubectl("create", "-f", "-", stdin=body)).status == 0
    old = await kubectl(
        "get", OLD_AUTOSCALERS, "web", "-o", "jsonpath={.apiVersion} {.spec.targetCPUUtilizationPercentage}"
    )
    assert old.stdout == "autoscaling/v1 80"
    patch = '{"spec":{"targetCPUUtilizationPercentage":50}}'
    patched = await kubectl("patch", OLD_AUTOSCALERS, "web", "--type=merge", "-p", patch)
    assert patched.status == 0, patched.stderr
    share, window = "{.spec.metrics[*].resource.target.averageUtilization}", "{.spec.behavior.scaleDown}"
    path = f"jsonpath={share} {window}"
    new = await kubectl("get", "hpa", "web", "-o", path)
    assert new.stdout.startswith("50 ")
    assert '"stabilizationWindowSeconds":60' in new.stdout
    shown = await kubectl("get", "hpa", "web", "--no-headers")
    assert shown.stdout.split()[1:-1] == ["Deployment/web", "cpu:", "<unknown>/50%", "1", "5", "0"]


EXPLAINED = [
    "pvc",
    "hpa",
    "validatingadmissionpolicies",
    "resourceslices",
    "events --api-version=events.k8s.io/v1",
    "hpa --api-version=autoscaling/v1",
]


@pytest.mark.parametrize("name", EXPLAINED)
async def test_explained_to_the_last_field(kubectl: Kubectl, name: str) -> None:
    found = await kubectl("explain", *name.split(), "--recursive")
    assert (found.status, "FIELDS:" in found.stdout) == (0, True), found.stderr


async def test_who_uses_what_is_deprecated_is_told(kubectl: Kubectl) -> None:
    shown = await kubectl("get", "componentstatuses")
    assert [line.split() for line in shown.stdout.splitlines()[1:]] == [
        ["controller-manager", "Healthy", "ok"],
        ["etcd-0", "Healthy", "ok"],
        ["scheduler", "Healthy", "ok"],
    ]
    assert shown.stderr == "Warning: v1 ComponentStatus is deprecated in v1.19+\n"
    endpoints = await kubectl("get", "endpoints")
    assert "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" in endpoints.stderr


async def test_the_range_of_services_is_shown(kubectl: Kubectl) -> None:
    shown = await kubectl("get", "servicecidrs", "--no-headers")
    assert shown.stdout.split()[:2] == ["kubernetes", "10.48.0.0/20"]
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    assert (await kubectl("get", "servicecidr", "kubernetes", "-o", ready)).stdout == "True"


async def test_events_in_their_own_group_are_the_core_ones(kubectl: Kubectl) -> None:
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "web.1", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/controller",
        "reportingInstance": "controller-0",
        "action": "Deploying",
        "reason": "Deployed",
        "regarding": {"kind": "Deployment", "namespace": "default", "name": "web"},
        "note": "All of it is there.",
        "type": "Normal",
    }
    made = await kubectl("create", "-f", "-", stdin=body)
    assert made.status == 0, made.stderr
    core = await kubectl("get", "events", "web.1", "-o", "jsonpath={.message} {.involvedObject.name}")
    assert core.stdout == "All of it is there. web"
    selected = await kubectl("get", "events.v1.events.k8s.io", "--field-selector=regarding.name=web", "-o", "name")
    assert selected.stdout == "event.events.k8s.io/web.1\n", selected.stderr
    body["metadata"]["name"] = "web.2"
    del body["eventTime"]
    refused = await kubectl("create", "-f", "-", stdin=body)
    assert "eventTime: Required value" in refused.stderr
