import pytest

from cni.errors import CniError, Code, DecodeFailed, IncompatibleVersion
from cni.spec import Interface, IPConfig, NetworkList, Result, RouteConfig, at_least

RESULT = Result(
    interfaces=(Interface("cbr0", "0a:58:0a:2c:01:01", 1460), Interface("eth0", "", 1460, "/run/netns/pod")),
    ips=(IPConfig("10.44.1.2/24", "10.44.1.1", 1),),
    routes=(RouteConfig("0.0.0.0/0"),),
    dns={"nameservers": ["10.48.0.10"]},
)
PLUGINS = [{"type": "bridge"}]


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_a_result_is_read_back_from_its_json_in_every_version(version: str) -> None:
    back = Result.from_json(RESULT.to_json(version))
    assert (back.ips, back.routes, back.dns) == (RESULT.ips, RESULT.routes, RESULT.dns)
    assert [interface.name for interface in back.interfaces] == ["cbr0", "eth0"]


def test_the_json_has_what_each_version_has() -> None:
    old, new = RESULT.to_json("0.4.0"), RESULT.to_json("1.1.0")
    assert old["ips"][0]["version"] == "4"
    assert "version" not in new["ips"][0]
    assert "mtu" not in old["interfaces"][0]
    assert new["interfaces"][0]["mtu"] == 1460


@pytest.mark.parametrize("body", [{"ips": [{}]}, {"ips": [3]}, {"interfaces": {"a": 1}}, {"routes": [{"gw": "x"}]}])
def test_what_is_not_a_result_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(DecodeFailed):
        Result.from_json(body)


def test_the_highest_common_version_is_taken() -> None:
    body = {"cniVersion": "0.4.0", "cniVersions": ["0.4.0", "1.1.0", "9.0.0"], "name": "net", "plugins": PLUGINS}
    assert NetworkList.from_json(body).cni_version == "1.1.0"


def test_a_version_that_is_not_spoken_is_refused_by_its_code() -> None:
    with pytest.raises(IncompatibleVersion) as caught:
        NetworkList.from_json({"cniVersion": "2.0.0", "name": "net", "plugins": PLUGINS})
    assert caught.value.code == Code.INCOMPATIBLE_VERSION


@pytest.mark.parametrize(
    "body",
    [
        {"plugins": PLUGINS},
        {"name": "a/b", "plugins": PLUGINS},
        {"name": "net"},
        {"name": "net", "plugins": []},
        {"name": "net", "plugins": [{}]},
    ],
)
def test_a_list_without_what_it_needs_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(DecodeFailed, match="network configuration list"):
        NetworkList.from_json({"cniVersion": "1.1.0", **body})


def test_versions_are_compared_by_number() -> None:
    assert at_least("1.1.0", "1.0.0")
    assert at_least("1.10.0", "1.9.0")
    assert not at_least("0.3.1", "0.4.0")


def test_an_error_says_its_code_and_leaves_empty_details_out() -> None:
    assert CniError(7, "no").to_json("1.1.0") == {"cniVersion": "1.1.0", "code": 7, "msg": "no"}
    assert CniError(7, "no", "really").to_json("1.1.0")["details"] == "really"
