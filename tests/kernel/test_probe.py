import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest

import netsim.programs
from netsim import firewall, probe, ranges
from netsim.netlink import Netlink
from netsim.probe import features, limits, programs
from netsim.vpc import Vpc
from tests.kernel import world
from tests.kernel.test_vpc import take_down


def test_this_host_has_all_that_is_required_and_says_what_it_found() -> None:
    found = probe.checks()
    assert [check for check in found if check.required and not check.ok] == []
    assert all(check.found and check.needed and check.remedy for check in found)
    assert len({check.name for check in found}) == len(found)
    probe.require()


def test_the_host_is_not_changed_by_asking(host: None, cluster: str) -> None:
    before = world.host_state(cluster)
    probe.checks()
    assert world.host_state(cluster) == before


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PATH", "/nowhere")
    missing = {check.name: check for check in programs.programs() if not check.ok}
    assert missing["crun or runc"].remedy == "apt install crun"
    assert missing["nft"].remedy == "apt install nftables"
    with pytest.raises(probe.MissingRequirement, match=r"conmon.*apt install crun"):
        probe.require()


def test_a_feature_that_the_kernel_refuses_is_not_ok() -> None:
    broken = features._Feature(
        "broken", "nothing", "CONFIG_NONE", lambda netlink: features._veth(netlink) or features._veth(netlink)
    )
    (check,) = features._in_throw_away_namespace([broken])
    assert not check.ok
    assert "File exists" in check.found


def test_what_the_kernel_said_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(netlink: Netlink) -> None:
        firewall.nft("table ip probe {\n  chain c { type nowhere hook forward priority 0; }\n}\n")

    broken = features._Feature("broken", "nothing", "CONFIG_NONE", refused)
    monkeypatch.setattr(features, "_FEATURES", (broken,))
    with pytest.raises(probe.MissingRequirement) as lacking:
        probe.require()
    (line,) = lacking.value.what.splitlines()
    assert line.startswith("this host lacks broken (`")
    assert "exited with status 1: /dev/stdin:2:" in line
    assert "CONFIG_NONE" in lacking.value.remedy


def test_a_feature_whose_program_is_missing_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netsim.programs, "PATH", "/nowhere")
    found = {check.name: check for check in features.features()}
    assert not found["netem"].ok
    assert not features.has_netem()
    assert "no program tc" in found["htb"].found


def test_what_goes_wrong_in_a_probe_is_not_taken_for_a_success() -> None:
    def wrong(netlink: Netlink) -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="of ours"):
        features._in_throw_away_namespace([features._Feature("wrong", "nothing", "CONFIG_NONE", wrong)])


def test_someone_else_than_root_is_told() -> None:
    asking = "from netsim.probe import require\nrequire()"
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", asking],
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
        check=False,
    )
    assert done.returncode != 0
    assert "sudo" in done.stderr or "Permission" in done.stderr


def test_the_routes_of_a_cluster_are_claims_of_that_cluster(cluster: str) -> None:
    plan = world.plan_of(cluster)
    try:
        with Vpc(plan) as vpc:
            vpc.ensure()
        with Netlink() as host:
            claims, without = ranges.host_claims(host), ranges.host_claims(host, without=cluster)
        found = ranges.conflict(IPv4Network("100.50.4.0/24"), claims)
        assert found is not None
        assert found.owner == f"100.50.0.0/20 of cluster {cluster}"
        assert ranges.conflict(IPv4Network("100.50.4.0/24"), without) is None
    finally:
        take_down(plan, 0)


def test_a_firewall_of_the_hosts_that_stops_pods_is_told(host: None) -> None:
    assert limits.host_forwarding().ok
    world.run("iptables", "-P", "FORWARD", "DROP")
    check = limits.host_forwarding()
    assert (check.ok, check.required) == (False, False)
    assert "FORWARD" in check.found
