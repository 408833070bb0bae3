"""Pods: defaults, well-known errors in upstream's words and order, and what an update may change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import BINDING, POD

Make = Callable[..., Any]

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "image": "nginx:1.27", **fields}


def test_defaults(create: Make) -> None:
    probe = {"httpGet": {"port": 80}}
    volumes = [{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}, {"name": "d", "hostPath": {"path": "/d"}}]
    spec = {"containers": [container(ports=[{"containerPort": 80}], livenessProbe=probe)], "volumes": volumes}
    stored = create(POD, {"metadata": {"generateName": "web-"}, "spec": spec})
    assert stored["spec"] == {
        "containers": [
            {
                "name": "web",
                "image": "nginx:1.27",
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {},
                "livenessProbe": {
                    "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                    "timeoutSeconds": 1,
                    "periodSeconds": 10,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "c", "defaultMode": 420}},
            {"name": "d", "hostPath": {"path": "/d", "type": ""}},
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }
    assert stored["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert stored["metadata"]["generation"] == 1
    assert stored["metadata"]["name"].startswith("web-")
    assert len(stored["metadata"]["name"]) == len("web-") + 5


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(create: Make, image: str, policy: str) -> None:
    stored = create(POD, {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": image}]}})
    assert stored["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_requests_default_to_limits_and_give_the_qos_class(create: Make, pod: Make) -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    stored = create(POD, pod(containers=[container(resources={"limits": limits})]))
    assert stored["spec"]["containers"][0]["resources"] == {"limits": limits, "requests": limits}
    assert stored["status"]["qosClass"] == "Guaranteed"
    burstable = create(POD, pod(containers=[container(resources={"requests": {"cpu": "1"}})]))
    assert burstable["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": []}, ["spec.containers: Required value"]),
        (
            {"containers": [{}]},
            ["spec.containers[0].name: Required value", "spec.containers[0].image: Required value"],
        ),
        (
            {"containers": [container(name="Web_1")]},
            [f'spec.containers[0].name: Invalid value: "Web_1": {LABEL_TEXT}'],
        ),
        (
            {"containers": [container(name="a.b")]},
            ['spec.containers[0].name: Invalid value: "a.b": must not contain dots'],
        ),
        ({"containers": [container(), container()]}, ['spec.containers[1].name: Duplicate value: "web"']),
        (
            {
                "containers": [
                    container(ports=[{"containerPort": 70000}, {"name": "http"}, {"containerPort": 1, "protocol": "X"}])
                ]
            },
            [
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: "
                "must be between 1 and 65535, inclusive",
                "spec.containers[0].ports[1].containerPort: Required value",
                'spec.containers[0].ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
            ],
        ),
        (
            {"containers": [container(ports=[{"containerPort": 1, "name": "a-very-long-port-name"}])]},
            ['spec.containers[0].ports[0].name: Invalid value: "a-very-long-port-name": must be no more than 15 bytes'],
        ),
        (
            {"containers": [container(imagePullPolicy="Sometimes")]},
            [
                'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": '
                'supported values: "Always", "IfNotPresent", "Never"'
            ],
        ),
        (
            {"containers": [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])]},
            ['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
        ),
        (
            {"containers": [container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})]},
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        (
            {"containers": [container(resources={"limits": {"cpu": "-1"}})]},
            [
                'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
                'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            ],
        ),
        (
            {"containers": [container(resources={"limits": {"gpu": "1"}})]},
            [
                'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": '
                "must be a standard resource for containers",
                'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": '
                "must be a standard resource for containers",
            ],
        ),
        (
            {"containers": [container(env=[{"name": ""}, {"name": "A=B"}, {"name": "C", "valueFrom": {}}])]},
            [
                "spec.containers[0].env[0].name: Required value",
                'spec.containers[0].env[1].name: Invalid value: "A=B": a valid environment variable name must consist '
                "only of printable ASCII characters other than '='",
                'spec.containers[0].env[2].valueFrom: Invalid value: "": must specify one of: `fieldRef`, '
                "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            ],
        ),
        (
            {"containers": [container(livenessProbe={"successThreshold": 2, "tcpSocket": {"port": "no_name"}})]},
            [
                'spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: "no_name": '
                "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            {"containers": [container(readinessProbe={"periodSeconds": -1})]},
            [
                "spec.containers[0].readinessProbe: Required value: must specify a handler type",
                "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: "
                "must be greater than or equal to 0",
            ],
        ),
        (
            {"containers": [container()], "restartPolicy": "Sometimes", "dnsPolicy": "Mine"},
            [
                'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
                'spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", '
                '"ClusterFirst", "Default", "None"',
            ],
        ),
        (
            {
                "containers": [container()],
                "volumes": [{"name": "a", "secret": {}}, {"name": "a", "emptyDir": {}, "nfs": {}}],
            },
            [
                "spec.volumes[0].secret.secretName: Required value",
                "spec.volumes[1].nfs: Forbidden: may not specify more than 1 volume type",
                'spec.volumes[1].name: Duplicate value: "a"',
            ],
        ),
        (
            {"containers": [container()], "initContainers": [container(readinessProbe={"tcpSocket": {"port": 1}})]},
            [
                'spec.initContainers[0].name: Duplicate value: "web"',
                "spec.initContainers[0].readinessProbe: Forbidden: "
                "may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            {"containers": [container()], "activeDeadlineSeconds": 0, "nodeName": "Node_1", "tolerations": [{}]},
            [
                f'spec.nodeName: Invalid value: "Node_1": {SUBDOMAIN_TEXT}',
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
                'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, '
                'which means "match all values and all keys"',
            ],
        ),
    ],
)
def test_errors(errors: Make, spec: dict[str, Any], expected: list[str]) -> None:
    assert errors(POD, {"metadata": {"name": "web"}, "spec": spec}) == expected


def test_the_whole_message(create: Make) -> None:
    with pytest.raises(Invalid) as caught:
        create(POD, {"metadata": {"name": "Web"}, "spec": {"containers": [{"name": "web"}]}})
    assert caught.value.message == (
        f'Pod "Web" is invalid: [metadata.name: Invalid value: "Web": {SUBDOMAIN_TEXT}, '
        "spec.containers[0].image: Required value]"
    )
    assert caught.value.status()["details"] == {
        "name": "Web",
        "kind": "Pod",
        "causes": [
            {
                "reason": "FieldValueInvalid",
                "message": f'Invalid value: "Web": {SUBDOMAIN_TEXT}',
                "field": "metadata.name",
            },
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers[0].image"},
        ],
    }


def test_what_an_update_may_change(create: Make, update: Make, pod: Make) -> None:
    old = create(POD, pod())
    new = copy.deepcopy(old)
    new["metadata"]["labels"] = {"a": "b"}
    new["spec"]["containers"][0]["image"] = "nginx:1.28"
    new["spec"]["tolerations"] = [{"key": "a", "operator": "Exists"}]
    new["spec"]["activeDeadlineSeconds"] = 60
    new["status"] = {"phase": "Running"}
    stored = update(POD, new, old)
    assert stored["metadata"]["generation"] == 2
    assert stored["status"] == old["status"]


def test_what_an_update_may_not_change(create: Make, update: Make, pod: Make) -> None:
    old = create(POD, pod(nodeName="node-1"))
    new = copy.deepcopy(old)
    new["spec"]["nodeName"] = "node-2"
    new["spec"]["containers"][0]["command"] = ["sleep"]
    with pytest.raises(Invalid) as caught:
        update(POD, new, old)
    assert caught.value.message == (
        'Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than '
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
        "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
        "(allow it to be set to 1 if it was previously negative)\n"
        '+  containers[0].command: ["sleep"]\n-  nodeName: "node-1"\n+  nodeName: "node-2"\n'
    )
    more = copy.deepcopy(old)
    more["spec"]["containers"].append(container(name="more"))
    with pytest.raises(Invalid, match=r"spec.containers: Forbidden: pod updates may not add or remove containers"):
        update(POD, more, old)


def test_only_a_binding_sets_the_node(create: Make, update: Make, pod: Make) -> None:
    old = create(POD, pod())
    new = copy.deepcopy(old)
    new["spec"]["nodeName"] = "node-1"
    with pytest.raises(Invalid, match="pod updates may not change fields other than"):
        update(POD, new, old)


def test_status_writes_leave_the_spec(create: Make, pod: Make) -> None:
    old = create(POD, pod())
    new = copy.deepcopy(old)
    new["spec"]["nodeName"] = "elsewhere"
    new["status"]["phase"] = "Running"
    POD.strategy.prepare_status_update(new, old)
    assert new["spec"] == old["spec"]
    assert new["status"]["phase"] == "Running"


def test_bindings(errors: Make) -> None:
    assert errors(BINDING, {"metadata": {"name": "a"}, "target": {"kind": "Pod"}}) == [
        'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"',
        "target.name: Required value",
    ]


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "../../etc/shadow"}},
            "seccompProfile.localhostProfile: Invalid value: \"../../etc/shadow\": must not contain '..'",
        ),
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "/etc/shadow"}},
            'seccompProfile.localhostProfile: Invalid value: "/etc/shadow": must be a relative path',
        ),
        (
            {"seccompProfile": {"type": "Localhost"}},
            "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ),
        (
            {"appArmorProfile": {"type": "Unconfined", "localhostProfile": "x"}},
            'appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost',
        ),
        (
            {"seccompProfile": {}},
            "seccompProfile.type: Required value: type is required when seccompProfile is set",
        ),
        (
            {"seccompProfile": {"type": "None"}},
            'seccompProfile.type: Unsupported value: "None": supported values: "Localhost", "RuntimeDefault", '
            '"Unconfined"',
        ),
    ],
)
def test_profiles(create: Make, context: dict[str, Any], why: str) -> None:
    for spec, where in (
        ({"containers": [container()], "securityContext": context}, "spec.securityContext"),
        ({"containers": [container(securityContext=context)]}, "spec.containers[0].securityContext"),
    ):
        with pytest.raises(Invalid) as refused:
            create(POD, {"metadata": {"name": "web"}, "spec": spec})
        assert f"{where}.{why}" in refused.value.message
