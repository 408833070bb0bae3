import pytest

from netsim import address, link, route
from netsim.errors import AlreadyExists, InvalidRequest, NotFound
from netsim.netlink import Netlink
from netsim.route import Route, RouteType
from tests.kernel import world


@pytest.mark.parametrize(("ifname", "peer"), [("v", "w"), ("ve0", "eth0"), ("veth0", "x"), ("vethabcdefghijk", "eth0")])
def test_names_of_every_length_and_all_the_values_arrive(netlink: Netlink, netns: str, ifname: str, peer: str) -> None:
    bridge = link.ensure_bridge(netlink, "br0", address="0a:58:0a:2c:01:01", mtu=1460)
    pair = link.new_veth(
        ifname, peer, mtu=1400, address="02:00:00:00:00:01", peer_address="02:00:00:00:00:02", master=bridge.index
    )
    netlink.send(pair, link.bridge_port(ifname, hairpin=True), link.change(peer, alias="the far end"))
    near, far = link.get_link(netlink, ifname), link.get_link(netlink, peer)
    assert (near.kind, near.mtu, near.address, near.master) == ("veth", 1400, "02:00:00:00:00:01", bridge.index)
    assert (far.mtu, far.address, far.alias, far.peer) == (1400, "02:00:00:00:00:02", "the far end", near.index)
    assert "hairpin on" in world.run("bridge", "-d", "link", netns=netns)


def test_a_message_encoded_for_one_is_not_another_ones(netlink: Netlink) -> None:
    for number in range(3):
        netlink.send(link.new_veth(f"veth{number}", f"peer{number}", mtu=1460, address=f"02:00:00:00:00:0{number}"))
    assert [link.get_link(netlink, f"veth{number}").address[-2:] for number in range(3)] == ["00", "01", "02"]


def test_a_batch_goes_on_after_a_failure_and_the_first_is_raised(netlink: Netlink) -> None:
    with pytest.raises(AlreadyExists, match="create veth pair a and b: File exists"):
        netlink.send(
            link.new_veth("a", "b", mtu=1460),
            link.new_veth("a", "b", mtu=1460),
            link.change("nowhere", up=True),
            link.change("a", alias="still done"),
        )
    assert link.get_link(netlink, "a").alias == "still done"
    netlink.send(*(link.change("a", mtu=1000 + number) for number in range(150)))
    assert link.get_link(netlink, "a").mtu == 1149


def test_what_is_gone_is_not_found_or_not_missed(netlink: Netlink) -> None:
    with pytest.raises(NotFound, match="look up link nowhere"):
        link.get_link(netlink, "nowhere")
    assert link.find_link(netlink, "nowhere") is None
    link.delete_link(netlink, "nowhere")
    netlink.send(route.removal(Route("10.9.9.0/24", type=RouteType.UNREACHABLE)), address.removal(1, "10.9.9.9/32"))


def test_the_kernels_own_words_are_in_the_error(netlink: Netlink) -> None:
    with pytest.raises(InvalidRequest, match="Nexthop has invalid gateway"):
        netlink.send(route.new_route(Route("10.9.9.0/24", ("192.0.2.77",))))


@pytest.mark.parametrize("interface", ["10.44.1.2/24", "10.128.0.11/32", "10.0.0.0/31", "172.16.3.4/12"])
def test_addresses_come_back_as_they_were_given(netlink: Netlink, netns: str, interface: str) -> None:
    lo = link.get_loopback(netlink).index
    address.ensure_address(netlink, lo, interface)
    address.ensure_address(netlink, lo, interface)
    assert interface in [str(found.interface) for found in address.list_addresses(netlink, lo)]
    if interface == "172.16.3.4/12":
        assert "brd 172.31.255.255" in world.run("ip", "address", "show", "lo", netns=netns)


def test_reconciling_adds_changes_removes_and_spares_what_others_own(netlink: Netlink) -> None:
    bridge = link.ensure_bridge(netlink, "br0", address="0a:58:0a:2c:01:01", mtu=1460)
    address.ensure_address(netlink, bridge.index, "10.0.0.1/24")
    netlink.send(route.new_route(Route("10.5.0.0/16", ("10.0.0.9",), protocol=4)))

    def reconcile(*wanted: Route) -> dict[str, Route]:
        route.reconcile(netlink, wanted, lambda found: found.protocol == route.PROTOCOL)
        return {found.destination: found for found in route.list_routes(netlink)}

    reconcile(Route("10.1.0.0/16", ("10.0.0.2",)), Route("10.2.0.0/16", ("10.0.0.2", "10.0.0.3")))
    found = reconcile(Route("10.2.0.0/16", ("10.0.0.4",)), Route("10.3.0.0/16", type=RouteType.BLACKHOLE))
    assert "10.1.0.0/16" not in found
    assert found["10.2.0.0/16"].gateways == ("10.0.0.4",)
    assert found["10.3.0.0/16"].type is RouteType.BLACKHOLE
    assert found["10.5.0.0/16"].gateways == ("10.0.0.9",)
