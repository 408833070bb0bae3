"""docs/api.md is what its generator makes, and that reads upstream's operations right."""

from __future__ import annotations

from pathlib import Path

from workbench.conformity.page import page
from workbench.conformity.upstream import operations

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_page_is_what_the_server_publishes() -> None:
    assert DOCUMENT.read_text() == page(), "docs/api.md is stale: run `make docs`"


def test_upstreams_operations() -> None:
    found = {(one.path, one.method): one for one in operations()}
    pods = "/api/v1/namespaces/{namespace}/pods"
    assert found[pods, "GET"].verb == "list"
    assert found[pods, "DELETE"].verb == "deletecollection"
    assert found[f"{pods}/{{name}}", "PUT"].verb == "update"
    assert found[f"{pods}/{{name}}/exec", "POST"].verb == "create"
    assert {"dryRun", "fieldManager", "force"} <= found[f"{pods}/{{name}}", "PATCH"].query
    assert "application/apply-patch+yaml" in found[f"{pods}/{{name}}", "PATCH"].patches
    assert not [path for path, _ in found if "alpha" in path or "beta" in path]
