"""Our own plugins, by the type that a configuration names them with. A plugin is a module with a class; the one
runner makes executables of them all."""

from __future__ import annotations

import importlib

from cni.call import Plugin

MODULES = {
    "bandwidth": "cni.plugins.bandwidth",
    "bridge": "cni.plugins.bridge",
    "host-local": "cni.plugins.host_local",
    "loopback": "cni.plugins.loopback",
    "portmap": "cni.plugins.portmap",
    "ptp": "cni.plugins.ptp",
    "tuning": "cni.plugins.tuning",
}


def load(name: str) -> Plugin | None:
    """Our plugin of that type, or None."""
    if name not in MODULES:
        return None
    plugin: Plugin = importlib.import_module(MODULES[name]).PLUGIN
    return plugin
