"""Errors of the cluster configuration.

ConfigError     a field of cluster.yaml is wrong, or what it asks for is not free on this host
"""

from __future__ import annotations


class ConfigError(Exception):
    """What the user wrote cannot be done.

    `where` is "file:line" or empty when no file was given, `path` the field ("spec.network.mtu"), `found` what is
    there, and `allowed` what could be there instead, or what to do.
    """

    def __init__(self, *, where: str = "", path: str, found: str, allowed: str) -> None:
        place = f"{where}: {path}" if where else path
        super().__init__(f"{place}: {found}; {allowed}" if path else f"{where}: {found}; {allowed}")
        self.where = where
        self.path = path
        self.found = found
        self.allowed = allowed
