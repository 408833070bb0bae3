import pytest

from netsim.mark import Mark


@pytest.mark.parametrize(
    "mark",
    [
        Mark("netsim", "router", "router"),
        Mark("lab-1", "pod", "default/web-6d4cf56db6-x2lkq"),
        Mark("c", "uplink", "host", "eth0:0"),
        Mark("c", "uplink", "host", "a,b=c:1"),
    ],
)
def test_a_mark_is_read_back_as_it_was_written(mark: Mark) -> None:
    assert Mark.parse(mark.alias()) == mark


@pytest.mark.parametrize(
    "text", [None, "", "eth0 of the host", "netsim:", "netsim:cluster=a,role=b", "netsim:cluster="]
)
def test_what_is_not_a_whole_mark_is_nobodys(text: str | None) -> None:
    assert Mark.parse(text) is None


@pytest.mark.parametrize("name", ["", "a,b", "a b", "-a", "x" * 300])
def test_a_word_that_would_not_be_read_back_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="mark"):
        Mark("c", "pod", name)
