"""The Common Expression Language, as far as Kubernetes' rules use it: no types are checked beforehand.

    compile_expression(text) → a function of the variables, which gives a value or raises CelError

What one evaluation costs is bounded, and what those that share a `Budget` cost together.

Values are those of JSON, besides `Timestamp`, `Duration` and `Optional`. After cel.dev/spec, with the
libraries that Kubernetes adds (strings, lists, regex, quantities, addresses, URLs).
"""

from controlplane.api.cel.budget import Budget
from controlplane.api.cel.compiler import Evaluate, compile_expression
from controlplane.api.cel.errors import CelCost, CelError, CelSyntaxError, CelUnsupported

__all__ = ["Budget", "CelCost", "CelError", "CelSyntaxError", "CelUnsupported", "Evaluate", "compile_expression"]
