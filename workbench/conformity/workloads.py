"""docs/workloads.md: what becomes of every field of pods and workloads, from the definitions and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.api import unsupported
from controlplane.api.definitions import read_definitions
from controlplane.api.workload_fields import FIELDS

PATHS = {
    "PodSpec": "",
    "PodSecurityContext": "securityContext.",
    "Container": "containers[].",
    "SecurityContext": "containers[].securityContext.",
    "ContainerPort": "containers[].ports[].",
    "VolumeMount": "containers[].volumeMounts[].",
}
"""Where the fields of a definition are in a pod's spec, for the table of warnings."""
VOLUME = "Volume"
VOLUME_WARNING = "is not supported by this version of netsim: the pod waits for it"
HEAD = """# Workloads

What becomes of every field of a pod and of the workloads. This page is generated: change
`controlplane/api/workload_fields.py` or `controlplane/api/unsupported.py`, then `make docs`.

| verdict | meaning |
|---|---|
| honoured | it does what Kubernetes v1.37 documents; the test, below `tests/`, shows it |
| warning | accepted, with this text in the HTTP `Warning` header, which kubectl prints |
| refused | the API answers with this error, or the pod waits and its events say this |
| as upstream | accepted, and without effect here as in a cluster of upstream's |
"""


def warnings_of(definition: str) -> dict[str, str]:
    """The fields of a definition that are accepted with a Warning, and its text."""
    name = definition.rpartition(".")[2]
    if name == VOLUME:
        known = read_definitions()[definition]["properties"]
        return dict.fromkeys(sorted(known.keys() - unsupported.VOLUMES), VOLUME_WARNING)
    if name not in PATHS:
        return {}
    prefix = PATHS[name]
    table = {**unsupported.POD_SPEC, "hostUsers": unsupported.HOST_USERS}
    found = {path.removeprefix(prefix): text for path, text in table.items() if path.startswith(prefix)}
    return {field: text for field, text in found.items() if "." not in field and "[]" not in field}


def render() -> str:
    """The whole page."""
    definitions = read_definitions()
    return HEAD + "".join("\n".join(["", *section(name, definitions[name], FIELDS[name]), ""]) for name in FIELDS)


def section(definition: str, schema: dict[str, Any], verdicts: dict[str, str]) -> Iterator[str]:
    """The lines about one definition."""
    yield f"## {definition.rpartition('.')[2]}"
    yield "| field | verdict | |"
    yield "|---|---|---|"
    warned = warnings_of(definition)
    for field in sorted(schema["properties"]):
        verdict, words = _verdict(verdicts.get(field), warned.get(field))
        yield f"| `{field}` | {verdict} | {words} |"


def _verdict(said: str | None, warning: str | None) -> tuple[str, str]:
    if said is None:
        return ("warning", warning) if warning else ("**unknown**", "")
    kind, _, words = said.partition(": ")
    named = {"honoured": "honoured", "refused": "refused", "upstream": "as upstream"}.get(kind)
    return (named, words) if named else ("honoured", f"`{said}`")
