"""kubeconfig files as data: a cluster's entries under one name, merged into a person's file and taken out again.

The clusters, users and contexts that others wrote are kept as they are. YAML comments are not: kubectl does not keep
them either.
"""

from __future__ import annotations

from typing import Any, cast

import yaml

from workbench.cli.errors import UserError

SECTIONS = ("clusters", "users", "contexts")
Kubeconfig = dict[str, Any]


def entry_name(cluster: str) -> str:
    """How a cluster's entries are called in a file that it shares with others: `netsim`, else `netsim-<name>`."""
    return "netsim" if cluster == "netsim" else f"netsim-{cluster}"


def parse(text: str, *, file: str) -> Kubeconfig:
    """The content of a kubeconfig file; UserError if it is none. An empty file is an empty kubeconfig."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}", "mend or move that file; it was not changed") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(data.get(section) or [], list) for section in SECTIONS):
        raise UserError(f"{file} is not a kubeconfig", "mend or move that file; it was not changed")
    return cast(Kubeconfig, data)


def dump(config: Kubeconfig) -> bytes:
    """The text of a kubeconfig file."""
    return yaml.safe_dump(config, sort_keys=False, default_flow_style=False).encode()


def under_one_name(config: Kubeconfig, name: str) -> Kubeconfig:
    """The current context of `config` with its cluster and user, all three called `name`."""
    context = _named(config, "contexts", config["current-context"])["context"]
    cluster = _named(config, "clusters", context["cluster"])["cluster"]
    user = _named(config, "users", context["user"])["user"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": context | {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merged(config: Kubeconfig, added: Kubeconfig) -> Kubeconfig:
    """`config` with the entries of `added` in the place of those of the same name, and its current context."""
    result: Kubeconfig = {"apiVersion": "v1", "kind": "Config"} | config
    for section in SECTIONS:
        names = {entry["name"] for entry in added[section]}
        kept = [entry for entry in config.get(section) or [] if entry.get("name") not in names]
        result[section] = [*kept, *added[section]]
    return result | {"current-context": added["current-context"]}


def without(config: Kubeconfig, name: str) -> Kubeconfig:
    """`config` without the entries called `name`; if it was the current context, there is none."""
    result = dict(config)
    for section in SECTIONS:
        if config.get(section):
            result[section] = [entry for entry in config[section] if entry.get("name") != name]
    if config.get("current-context") == name:
        result["current-context"] = ""
    return result


def is_empty(config: Kubeconfig) -> bool:
    """Whether no cluster, user or context is in it."""
    return not any(config.get(section) for section in SECTIONS)


def _named(config: Kubeconfig, section: str, name: str) -> dict[str, Any]:
    for entry in config[section]:
        if entry["name"] == name:
            return cast(dict[str, Any], entry)
    raise UserError(f"the kubeconfig has no {name} among its {section}")
