from ipaddress import IPv4Network

import pytest

from netsim import ranges
from netsim.errors import RangeConflict
from netsim.ranges import Claim

HOST = [Claim(IPv4Network("10.0.0.0/9"), "the host's route 10.0.0.0/9 dev tun0")]


def test_a_range_that_overlaps_a_route_is_refused_and_both_are_named() -> None:
    with pytest.raises(RangeConflict) as caught:
        ranges.check({"the pods of subnet default": IPv4Network("10.44.0.0/14")}, HOST)
    assert "10.44.0.0/14, planned for the pods of subnet default" in str(caught.value)
    assert "the host's route 10.0.0.0/9 dev tun0" in str(caught.value)


def test_planned_ranges_that_overlap_each_other_are_refused() -> None:
    planned = {"nodes": IPv4Network("10.128.0.0/20"), "Services": IPv4Network("10.128.8.0/24")}
    with pytest.raises(RangeConflict, match=r"10\.128\.8\.0/24, planned for Services, overlaps 10\.128\.0\.0/20"):
        ranges.check(planned, HOST)


def test_ranges_that_only_touch_are_taken() -> None:
    ranges.check({"nodes": IPv4Network("10.128.0.0/20"), "Services": IPv4Network("10.128.16.0/20")}, HOST)
