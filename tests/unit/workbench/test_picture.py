"""The picture of a trace: all that it says is there, whole and within its frame."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from workbench.tracing import Leg, Step, Story, Visit, to_svg

SVG = "{http://www.w3.org/2000/svg}"
LONG = "a-namespace-of-many-words/pod/checkout-service-644646b9cb-hgqkv"
REASON = "NetworkPolicy a-namespace-of-many-words/deny-everything-that-is-not-allowed does not allow it <&>"


@pytest.mark.parametrize("places", [[], ["pod/a"], ["pod/a", LONG], ["pod/a", "node/node-1", "router", "node/node-2"]])
def test_everything_is_within_the_frame(places: list[str]) -> None:
    story = Story("pod/a", "service/b", "tcp", result="policy", reason=REASON)
    steps = [Step("in", "eth0", 1000), Step("nat", "x" * 120), Step("rule", "-j DROP", data={"verdict": "drop"})]
    visits = [Visit(place, steps) for place in places]
    story.legs = [Leg("request", "pod/a → service/b", visits), Leg("reply", "b → a", visits[::-1])] if places else []
    picture = ElementTree.fromstring(to_svg(story))
    width, height = int(picture.attrib["width"]), int(picture.attrib["height"])
    for box in picture.iter(f"{SVG}rect"):
        assert int(box.attrib["x"]) >= 0
        assert int(box.attrib["x"]) + int(box.attrib["width"]) <= width
        assert int(box.attrib["y"]) + int(box.attrib["height"]) <= height
    said = [text.text for text in picture.iter(f"{SVG}text")]
    assert f"policy: {REASON}" in said
    assert set(places) <= set(said)
    # Names stand side by side: about 7 pixels a letter.
    middles = {text.text: int(text.attrib["x"]) for text in picture.iter(f"{SVG}text") if text.text in places}
    for left, right in itertools.pairwise(places):
        assert middles[right] - middles[left] >= 7 * (len(left) + len(right)) // 2
    arrows = [line for line in picture.iter(f"{SVG}line") if "marker-end" in line.attrib]
    assert len(arrows) == 2 * max(len(places) - 1, 0)
