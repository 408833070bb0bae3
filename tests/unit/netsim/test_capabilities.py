"""What a bounding set lacks is named, apart for plain and for privileged containers."""

from __future__ import annotations

from netsim.capabilities import CAPABILITIES
from netsim.probe.capabilities import capabilities, judged

FULL = (1 << len(CAPABILITIES)) - 1
LAST = len(CAPABILITIES) - 1


def without(*names: str) -> int:
    return FULL & ~sum(1 << CAPABILITIES.index(name) for name in names)


def test_a_name_is_at_its_number() -> None:
    assert [CAPABILITIES.index(f"CAP_{name}") for name in ("NET_ADMIN", "SYS_ADMIN", "SYS_RESOURCE")] == [12, 21, 24]


def test_a_full_set_is_fine() -> None:
    assert [check.ok for check in judged(FULL, last=LAST)] == [True, True]


def test_what_privileged_containers_lack_is_advice_with_its_name() -> None:
    plain, privileged = judged(without("CAP_SYS_RESOURCE", "CAP_SYS_TIME"), last=LAST)
    assert plain.ok
    assert (privileged.ok, privileged.required) == (False, False)
    assert privileged.found == "the bounding set lacks CAP_SYS_RESOURCE, CAP_SYS_TIME"
    assert "--cap-add=CAP_SYS_RESOURCE --cap-add=CAP_SYS_TIME" in privileged.remedy


def test_what_every_container_lacks_is_told_apart() -> None:
    plain, privileged = judged(without("CAP_MKNOD"), last=LAST)
    assert (plain.ok, plain.required, privileged.ok) == (False, False, True)
    assert "CAP_MKNOD" in plain.found


def test_what_an_old_kernel_does_not_know_is_not_missing() -> None:
    last = CAPABILITIES.index("CAP_AUDIT_READ")
    assert all(check.ok for check in judged((1 << (last + 1)) - 1, last=last))


def test_this_host_is_judged_by_its_own_set() -> None:
    assert len(capabilities()) == 2
