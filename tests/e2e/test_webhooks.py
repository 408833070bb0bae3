"""An operator's usual kit on a whole cluster: a definition, its objects, and a webhook that runs in a pod."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from controlplane.server.pki import Pki
from tests.conftest import Eventually
from tests.e2e.conftest import Cluster

SERVER = """
import base64, http.server, json, ssl

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        response = {"uid": asked["uid"], "allowed": asked["object"]["metadata"]["name"] != "bad"}
        if self.path.startswith("/change"):
            patch = [{"op": "add", "path": "/spec/size", "value": 7}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
            response["allowed"] = True
        else:
            response["status"] = {"code": 403, "reason": "Forbidden", "message": "bad is no name"}
        body = json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.HTTPServer(("", 8443), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def definition(group: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 10}}}},
    }
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version | {"additionalPrinterColumns": columns}],
        },
    }


def server(pki: Pki) -> list[dict[str, Any]]:
    text = {name: path.read_text() for name, path in (("tls.crt", pki.server_certificate), ("tls.key", pki.server_key))}
    volumes = [{"name": "tls", "secret": {"secretName": "tls"}}, {"name": "srv", "configMap": {"name": "srv"}}]
    mounts = [{"name": "tls", "mountPath": "/tls"}, {"name": "srv", "mountPath": "/srv"}]
    container = {
        "name": "hook",
        "image": "example.com/hook:1",
        "command": ["python3", "-I", "/srv/server.py"],
        "ports": [{"containerPort": 8443}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": mounts,
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "srv"}, "data": {"server.py": SERVER}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "stringData": text},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "hook", "labels": {"app": "hook"}},
            "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hook"},
            "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 8443}]},
        },
    ]


def configuration(kind: str, group: str, namespace: str, path: str, pki: Pki) -> dict[str, Any]:
    ca = base64.b64encode(pki.ca_certificate.read_bytes()).decode()
    rule = {"operations": ["CREATE"], "apiGroups": [group], "apiVersions": ["v1"], "resources": ["things"]}
    webhook = {
        "name": f"{path}.{group}",
        "clientConfig": {"service": {"name": "hook", "namespace": namespace, "path": f"/{path}"}, "caBundle": ca},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": f"{path}-{namespace}"},
        "webhooks": [webhook],
    }


def test_a_webhook_in_a_pod_and_what_it_is_about(
    cluster: Cluster, namespace: str, tmp_path: Path, eventually: Eventually
) -> None:
    group = f"{namespace}.example.com"
    pki = Pki(tmp_path / "pki")
    pki.ensure([f"hook.{namespace}.svc"], [])

    def apply(*objects: dict[str, Any], check: bool = True) -> Any:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=text, check=check)

    def thing(name: str) -> dict[str, Any]:
        return {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"size": 1}}

    apply(definition(group), *server(pki))
    cluster.out("wait", "--for=condition=Established", f"crd/things.{group}", "--timeout=60s")
    cluster.out("-n", namespace, "wait", "--for=condition=Ready", "pod/hook", "--timeout=120s")
    hooks = [configuration("Mutating", group, namespace, "change", pki)]
    hooks.append(configuration("Validating", group, namespace, "judge", pki))
    try:
        apply(*hooks)
        eventually(lambda: cluster.json("-n", namespace, "get", "endpoints", "hook").get("subsets"))
        apply(thing("good"))
        assert cluster.out("-n", namespace, "get", f"things.{group}").split() == ["NAME", "SIZE", "good", "7"]
        refused = apply(thing("bad"), check=False)
        said = f'admission webhook "judge.{group}" denied the request: bad is no name'
        assert refused.returncode == 1
        assert said in refused.stderr
        cluster.out("-n", namespace, "delete", "pod", "hook", "--now")
        refused = apply(thing("other"), check=False)
        assert f'failed calling webhook "change.{group}"' in refused.stderr
        assert 'no endpoints available for service "hook"' in refused.stderr
    finally:
        for hook in hooks:
            cluster.out("delete", hook["kind"], hook["metadata"]["name"])
    cluster.out("delete", "crd", f"things.{group}", "--timeout=60s")
    assert f"things.{group}" not in cluster.out("api-resources", "-o", "name")
