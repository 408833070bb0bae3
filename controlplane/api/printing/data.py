"""Rows of ConfigMaps, Secrets and ServiceAccounts."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, age
from controlplane.api.types import Column, Object

_DATA = Column("Data", "integer", description="The number of entries.")

CONFIG_MAP_COLUMNS = (NAME, _DATA, AGE)
SECRET_COLUMNS = (NAME, Column("Type", description="What kind of secret this is."), _DATA, AGE)
SERVICE_ACCOUNT_COLUMNS = (NAME, Column("Secrets", "integer", description="Secrets that its pods may use."), AGE)


def config_map_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ConfigMap."""
    return [obj["metadata"]["name"], len(obj.get("data", ())) + len(obj.get("binaryData", ())), age(obj, now)]


def secret_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Secret."""
    return [obj["metadata"]["name"], obj.get("type", ""), len(obj.get("data", ())), age(obj, now)]


def service_account_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ServiceAccount."""
    return [obj["metadata"]["name"], len(obj.get("secrets", ())), age(obj, now)]
