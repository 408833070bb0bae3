"""One good object of each kind that is neither a workload nor part of the network, as a user would write it."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Body = dict[str, Any]


def certificate_request(name: str, *organizations: str) -> str:
    """A signed PKCS #10 request for that name, as `spec.request` wants it."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(attributes))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def samples() -> list[Body]:
    """The objects; each depends on none of the others."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    webhook = {
        "name": "check.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/check"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "rules": [rule | {"resources": ["nothings"]}],
    }
    binding = {"policyName": "web", "paramRef": {"name": "p", "parameterNotFoundAction": "Deny"}}
    request = {"exactly": {"deviceClassName": "gpu"}, "name": "one"}
    bodies: list[tuple[str, str, Body]] = [
        ("v1", "PersistentVolume", {"spec": volume()}),
        ("v1", "PersistentVolumeClaim", {"spec": claim()}),
        ("v1", "ResourceQuota", {"spec": {"hard": {"pods": "10", "limits.cpu": "4"}}}),
        ("v1", "LimitRange", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}),
        ("v1", "PodTemplate", {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}}),
        ("policy/v1", "PodDisruptionBudget", {"spec": {"minAvailable": "50%", "selector": {}}}),
        ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": autoscaler()}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {"matchLabels": {"app": "web"}}}}),
        ("networking.k8s.io/v1", "Ingress", {"spec": {"defaultBackend": backend}}),
        ("networking.k8s.io/v1", "IngressClass", {"spec": {"controller": "example.com/ingress"}}),
        ("networking.k8s.io/v1", "ServiceCIDR", {"spec": {"cidrs": ["10.50.0.0/24"]}}),
        ("storage.k8s.io/v1", "StorageClass", {"provisioner": "example.com/disk"}),
        ("storage.k8s.io/v1", "CSIDriver", {"spec": {"attachRequired": False}}),
        ("storage.k8s.io/v1", "CSINode", {"spec": {"drivers": [{"name": "disk.example.com", "nodeID": "a"}]}}),
        ("storage.k8s.io/v1", "CSIStorageCapacity", {"storageClassName": "fast", "capacity": "10Gi"}),
        ("storage.k8s.io/v1", "VolumeAttachment", {"spec": attachment()}),
        ("storage.k8s.io/v1", "VolumeAttributesClass", {"driverName": "example.com", "parameters": {"iops": "5"}}),
        ("node.k8s.io/v1", "RuntimeClass", {"handler": "kata"}),
        ("certificates.k8s.io/v1", "CertificateSigningRequest", {"spec": signing()}),
        ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", {"spec": {"priorityLevelConfiguration": {"name": "low"}}}),
        ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", {"spec": {"type": "Limited", "limited": {}}}),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", {"webhooks": [webhook]}),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", {"webhooks": [webhook]}),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", {"spec": policy(rule)}),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            {"spec": binding | {"validationActions": ["Deny"]}},
        ),
        ("resource.k8s.io/v1", "DeviceClass", {"spec": {}}),
        ("resource.k8s.io/v1", "ResourceClaim", {"spec": {"devices": {"requests": [request]}}}),
        ("resource.k8s.io/v1", "ResourceClaimTemplate", {"spec": {"spec": {"devices": {"requests": [request]}}}}),
    ]
    named = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}} | rest for version, kind, rest in bodies
    ]
    address = {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "10.50.0.7"}}
    limited = next(one for one in named if one["kind"] == "PriorityLevelConfiguration")
    limited["spec"]["limited"] = {"limitResponse": {"type": "Queue", "queuing": {}}}
    return [*named, address | {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}}]


def volume() -> Body:
    return {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual",
        "hostPath": {"path": "/tmp/data"},
    }


def claim() -> Body:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual",
        "resources": {"requests": {"storage": "1Gi"}},
    }


def autoscaler() -> Body:
    return {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}


def attachment() -> Body:
    return {"attacher": "example.com", "nodeName": "node-1", "source": {"persistentVolumeName": "data"}}


def signing() -> Body:
    return {
        "request": certificate_request("jane", "developers"),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }


def policy(rule: Body) -> Body:
    return {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.metadata.name != 'bad'"}],
    }
