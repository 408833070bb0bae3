"""docs/storage.md: what becomes of every field of volumes, claims and classes; from definitions and verdicts."""

from __future__ import annotations

from controlplane.api.definitions import read_definitions
from controlplane.api.storage_fields import FIELDS
from workbench.conformity.workloads import section

HEAD = """# Storage

What becomes of every field of volumes, claims and classes. How it works is in [volumes](volumes.md). This page is
generated: change `controlplane/api/storage_fields.py`, then `make docs`. Where volumes are mounted in containers, see
VolumeMount in [workloads](workloads.md).

| verdict | meaning |
|---|---|
| honoured | it does what Kubernetes v1.37 documents; the test, below `tests/`, shows it |
| refused | the API answers with this error, or the pod or claim waits and its events say this |
| as upstream | accepted, and without effect here as in a cluster of upstream's |
"""


def render() -> str:
    """The whole page."""
    definitions = read_definitions()
    return HEAD + "".join("\n".join(["", *section(name, definitions[name], FIELDS[name]), ""]) for name in FIELDS)
