"""What goes wrong between policies and the kernel.

netsim.errors.NetsimError
└── PolicyNotApplied    the rules that concern a pod are not in the kernel, so the pod must not start
"""

from __future__ import annotations

from netsim.errors import NetsimError


class PolicyNotApplied(NetsimError):
    """A pod that policies select was not let start, because what they say could not be enforced."""
