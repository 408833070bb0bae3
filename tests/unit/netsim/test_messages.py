import subprocess
import sys

import pytest

from netsim import messages

_LIGHT = """
import sys
import netsim.messages
loaded = {name for name in sys.modules if name.startswith("pyroute2.")}
assert not any(name.startswith(("pyroute2.ndb", "pyroute2.iproute")) for name in loaded), loaded
"""
_WHOLE = """
import netsim.messages
from pyroute2 import IPRoute
import pyroute2
assert pyroute2.IPRoute is IPRoute
assert pyroute2.netlink.rtnl.ifinfmsg.ifinfmsg is netsim.messages.ifinfmsg
"""
_FIRST = """
from pyroute2 import IPRoute
import netsim.messages
"""


@pytest.mark.parametrize("program", [_LIGHT, _WHOLE, _FIRST], ids=["light", "whole afterwards", "whole before"])
def test_pyroute2_is_loaded_as_far_as_needed(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_hole_is_as_long_as_what_fills_it_and_short_names_have_none() -> None:
    assert len(messages.name_hole("vethabc")) == 7
    assert messages.name_hole("lo") == "lo"
    hole = messages.name_hole("eth0").encode()
    assert messages.filled(b"a" + hole + b"b" + hole, (hole, b"eth0")) == b"aeth0beth0"
