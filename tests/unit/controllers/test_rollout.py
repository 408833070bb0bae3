"""The arithmetic of rollouts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.types import Object
from controlplane.controllers import rollout


def deployment(replicas: int, surge: int | str = "25%", unavailable: int | str = "25%", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "d"},
        "spec": {"replicas": replicas, "strategy": strategy, **spec},
    }


def replica_set(name: str, replicas: int, available: int | None = None, *, age: int = 0, **annotations: str) -> Object:
    found = {f"deployment.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "annotations": found,
            "creationTimestamp": f"2026-01-01T00:00:{59 - age:02}Z",
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": replicas if available is None else available},
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, 0, (0, 1)),
        (3, "0%", "10%", (0, 1)),
        (0, "25%", "25%", (0, 1)),
        (2, 1, 0, (1, 0)),
    ],
)
def test_surge_rounds_up_unavailable_down_and_both_are_never_nothing(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    assert rollout.fenceposts(deployment(replicas, surge, unavailable)) == expected


def test_unavailable_is_never_more_than_there_are() -> None:
    assert rollout.max_unavailable(deployment(2, 1, 5)) == 2
    assert rollout.max_unavailable(deployment(0, 1, 5)) == 0


def test_the_new_set_grows_into_the_surge_and_no_further() -> None:
    web = deployment(10, 3, 2)
    old, new = replica_set("old", 10), replica_set("new", 0)
    assert rollout.new_replicas(web, [old, new], new) == 3
    old, new = replica_set("old", 4), replica_set("new", 8)
    assert rollout.new_replicas(web, [old, new], new) == 9
    old, new = replica_set("old", 5), replica_set("new", 8)
    assert rollout.new_replicas(web, [old, new], new) == 8


def test_old_sets_lose_first_what_is_not_available_anyway() -> None:
    web = deployment(10, 3, 2)
    new = replica_set("new", 3, 0)
    broken, working = replica_set("broken", 4, 0, age=2), replica_set("working", 6, 6, age=1)
    assert rollout.old_scale_down(web, new, [broken, working]) == {"broken": 2}


def test_old_sets_shrink_by_what_the_new_one_makes_available() -> None:
    web = deployment(10, 3, 2)
    assert rollout.old_scale_down(web, replica_set("new", 3, 0), [replica_set("old", 10)]) == {"old": 8}
    assert rollout.old_scale_down(web, replica_set("new", 5, 0), [replica_set("old", 8)]) == {}
    assert rollout.old_scale_down(web, replica_set("new", 5, 5), [replica_set("old", 8)]) == {"old": 3}


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10), st.integers(0, 50), st.data())
def test_no_step_goes_below_what_must_be_available(
    replicas: int, surge: int, unavailable: int, size: int, data: st.DataObject
) -> None:
    web = deployment(replicas, surge, unavailable)
    olds = [replica_set(f"old{n}", data.draw(st.integers(0, 20)), age=n) for n in range(3)]
    for old in olds:
        old["status"]["availableReplicas"] = data.draw(st.integers(0, old["spec"]["replicas"]))
    new = replica_set("new", size, data.draw(st.integers(0, size)))
    before = sum(rs["status"]["availableReplicas"] for rs in [*olds, new])
    sizes = rollout.old_scale_down(web, new, olds)
    after = new["status"]["availableReplicas"] + sum(
        min(old["status"]["availableReplicas"], sizes.get(old["metadata"]["name"], old["spec"]["replicas"]))
        for old in olds
    )
    assert after >= min(before, replicas - rollout.max_unavailable(web))
    assert all(
        0 <= sizes[old["metadata"]["name"]] <= old["spec"]["replicas"]
        for old in olds
        if old["metadata"]["name"] in sizes
    )


def test_scaling_is_shared_in_proportion_and_sums_up() -> None:
    web = deployment(15, 3, 2)
    old = replica_set("old", 8, age=1, max_replicas="13")
    new = replica_set("new", 5, max_replicas="13")
    sizes = {rs["metadata"]["name"]: size for rs, size in rollout.proportional(web, [old, new])}
    assert sizes == {"old": 11, "new": 7}


@given(st.integers(0, 60), st.integers(0, 60), st.lists(st.integers(1, 20), min_size=2, max_size=4))
def test_proportions_always_fill_the_allowed_size(slack: int, after: int, current: list[int]) -> None:
    web = deployment(after, 2, 1)
    before = str(sum(current) + slack)
    sets = [replica_set(f"rs{n}", size, age=n, max_replicas=before) for n, size in enumerate(current)]
    sizes = [size for _, size in rollout.proportional(web, sets)]
    allowed = after + 2 if after else 0
    assert min(sizes) >= 0
    assert sum(sizes) == allowed or sizes[0] == 0


def test_template_hash_has_upstreams_form_and_depends_on_template_and_collisions() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    digest = rollout.template_hash(template, 0)
    assert set(digest) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert 1 <= len(digest) <= 10
    assert rollout.template_hash(template, 1) != digest
    assert rollout.template_hash({**template, "spec": {}}, 0) != digest
    assert rollout.template_hash(dict(reversed(template.items())), 0) == digest


def test_the_hash_label_makes_no_other_template() -> None:
    one = {"metadata": {"labels": {"app": "web"}}, "spec": {"a": 1}}
    other = {
        "metadata": {"labels": {"app": "web", "pod-template-hash": "x"}, "creationTimestamp": None},
        "spec": {"a": 1},
    }
    assert rollout.same_template(one, other)
    other["metadata"]["labels"]["app"] = "changed"
    assert not rollout.same_template(one, other)


def test_only_empty_and_observed_sets_beyond_the_limit_are_expendable() -> None:
    web = deployment(1, revisionHistoryLimit=1)
    sets = [replica_set(f"rs{n}", 0, revision=str(n)) for n in (3, 1, 2)]
    assert [rs["metadata"]["name"] for rs in rollout.expendable(web, sets)] == ["rs1", "rs2"]
    sets[1]["spec"]["replicas"] = 1
    assert [rs["metadata"]["name"] for rs in rollout.expendable(web, sets)] == ["rs2"]
    sets[2]["metadata"]["generation"] = 2
    assert rollout.expendable(web, sets) == []
