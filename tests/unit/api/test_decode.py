"""Decoding: what is dropped, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from controlplane.api.decode import decode, decode_object
from controlplane.api.errors import BadRequest
from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, POD, SECRET


def body(**fields: Any) -> bytes:
    return orjson.dumps(fields)


def test_a_clean_object_is_taken_as_it_is() -> None:
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}
    assert decode_object(POD, obj).object is obj


def test_identity_is_filled_in() -> None:
    obj = decode(DEPLOYMENT, body(metadata={"name": "a"})).object
    assert (obj["apiVersion"], obj["kind"]) == ("apps/v1", "Deployment")


def test_nulls_and_empty_lists_and_maps_go() -> None:
    spec = {
        "containers": [{"name": "c", "args": [], "env": None}],
        "nodeSelector": {},
        "tolerations": [],
        "affinity": {},
    }
    obj = decode(POD, body(metadata={"name": "a", "labels": {}, "creationTimestamp": None}, spec=spec)).object
    assert obj["metadata"] == {"name": "a"}
    assert obj["spec"] == {"containers": [{"name": "c"}], "affinity": {}}


def test_a_required_list_stays_though_empty() -> None:
    assert decode(POD, body(spec={"containers": []})).object["spec"] == {"containers": []}


def test_null_items_become_zero_values() -> None:
    spec = {"containers": [{"name": "c", "args": ["a", None]}, None]}
    assert decode(POD, body(spec=spec)).object["spec"]["containers"] == [{"name": "c", "args": ["a", ""]}, {}]


def test_quantities_and_times_get_their_canonical_text() -> None:
    spec = {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]}
    obj = decode(POD, body(metadata={"creationTimestamp": "2026-01-02T03:04:05+02:00"}, spec=spec)).object
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert obj["metadata"]["creationTimestamp"] == "2026-01-02T01:04:05Z"
    event = decode(EVENT, body(eventTime="2026-01-02T03:04:05Z")).object
    assert event["eventTime"] == "2026-01-02T03:04:05.000000Z"


def test_unknown_fields_are_pruned_and_told_as_asked() -> None:
    data = body(spec={"containers": [{"name": "c", "imagee": "x"}], "foo": 1}, bar={})
    assert decode(POD, data) == decode(POD, data, "Ignore")
    assert decode(POD, data).object["spec"] == {"containers": [{"name": "c"}]}
    assert decode(POD, data, "Warn").warnings == [
        'unknown field "spec.containers[0].imagee"',
        'unknown field "spec.foo"',
        'unknown field "bar"',
    ]
    with pytest.raises(BadRequest) as caught:
        decode(POD, data, "Strict")
    assert caught.value.message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field '
        '"spec.containers[0].imagee", unknown field "spec.foo", unknown field "bar"'
    )


def test_duplicate_fields() -> None:
    data = b'{"metadata":{"name":"a","name":"b"},"spec":{"containers":[{"name":"c","tty" : true,"tty":true}]}}'
    assert decode(POD, data, "Warn").warnings == [
        'duplicate field "metadata.name"',
        'duplicate field "spec.containers[0].tty"',
    ]
    with pytest.raises(BadRequest, match=r'strict decoding error: duplicate field "metadata.name"'):
        decode(POD, data, "Strict")


def test_text_that_looks_like_keys_is_no_duplicate() -> None:
    data = b'{"metadata": {"name": "a"}, "data": {"x": "{\\"a\\": 1, \\"a\\": 2}", "y": "caf\\u00e9"}}'
    assert decode(CONFIG_MAP, data, "Strict").object["data"]["y"] == "café"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"spec": {"replicas": "3"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 3.5}},
            "json: cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 2**31}},
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": []},
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": True}]}]}}}},
            "json: cannot unmarshal bool into Go struct field EnvVar.spec.template.spec.containers.env.value "
            "of type string",
        ),
        (
            {"spec": {"template": {"spec": {"containers": {"name": "a"}}}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers "
            "of type []v1.Container",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}},
            "json: cannot unmarshal bool into Go value of type int32",
        ),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
    ],
)
def test_wrong_types(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(DEPLOYMENT, body(**fields))
    assert caught.value.message == f'Deployment in version "v1" cannot be handled as a Deployment: {problem}'


def test_base64() -> None:
    assert decode(SECRET, body(data={"a": "aGk=", "b": ""})).object["data"] == {"a": "aGk=", "b": ""}
    with pytest.raises(BadRequest, match="illegal base64 data at input byte 2"):
        decode(SECRET, body(data={"a": "hi!"}))


def test_other_kinds_are_refused() -> None:
    with pytest.raises(
        BadRequest, match=r"API version in the data \(v1\) does not match the expected API version \(apps/v1\)"
    ):
        decode(DEPLOYMENT, body(apiVersion="v1", kind="Pod"))
    with pytest.raises(BadRequest, match='Pod in version "v1" cannot be handled as a Secret'):
        decode(SECRET, body(apiVersion="v1", kind="Pod"))


def test_no_json() -> None:
    with pytest.raises(BadRequest, match="couldn't get version/kind"):
        decode(POD, b"{")
    with pytest.raises(BadRequest, match="unrecognized"):
        decode(POD, b"[]")
