"""ResourceQuota: no write takes a namespace over what its quotas allow.

Usage is kept by object in every namespace that has a quota, from what is staged: two creates in one
breath see each other. The quotas' own status is the quota controller's to write. Texts are upstream's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controlplane.api import quantity, quotas
from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM, POD, RESOURCE_QUOTA, SERVICE
from controlplane.api.pod_resources import Amounts
from controlplane.api.scheme import Scheme
from controlplane.api.types import Kind, Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store

UPDATED = (POD, SERVICE, PERSISTENT_VOLUME_CLAIM)
"""Kinds of which an update may count for more than what it replaces."""


@dataclass(slots=True)
class Account:
    """One quota, what each object counts for in it, and the sum."""

    quota: Object
    used: Amounts = field(default_factory=dict)
    objects: dict[Key, Amounts] = field(default_factory=dict)

    def enter(self, key: Key, amounts: Amounts) -> None:
        """Counts the object of `key` as `amounts`, whatever it was before."""
        for name, value in self.objects.pop(key, {}).items():
            self.used[name] -= value
        if amounts:
            self.objects[key] = amounts
            for name, value in amounts.items():
                self.used[name] = self.used.get(name, 0) + value


class ResourceQuotaAdmission:
    """The accounts of all quotas."""

    def __init__(self, store: Store, scheme: Scheme) -> None:
        self._scheme = scheme
        self._accounts: dict[str, dict[str, Account]] = {}
        self._kinds: dict[str, Kind] = {}
        for revision in store.objects(RESOURCE_QUOTA.resource):
            self.settle(revision.key, store)

    def settle(self, key: Key, store: Store) -> None:
        """Takes in what the object of `key` is now; called when its latest state has changed."""
        if key.resource == RESOURCE_QUOTA.resource:
            self._settle_quota(key, store)
        accounts = self._accounts.get(key.namespace)
        if not accounts:
            return
        kind = self._kind(key.resource)
        latest = store.latest(key) if kind is not None else None
        for account in accounts.values():
            counted = quotas.counted_by(account.quota, kind, latest.document) if kind and latest else {}
            account.enter(key, counted)

    def check(self, request: Attributes, store: Store) -> None:
        if request.operation == "DELETE" or request.subresource not in ("", "resize"):
            return
        accounts = self._accounts.get(request.namespace)
        if not accounts or (request.old is not None and request.kind not in UPDATED):
            return
        for account in accounts.values():
            why = _refusal(account, request)
            if why:
                raise wording.forbidden(request.kind, request.name, why)

    def _settle_quota(self, key: Key, store: Store) -> None:
        latest = store.latest(key)
        accounts = self._accounts.setdefault(key.namespace, {})
        if latest is None:
            accounts.pop(key.name, None)
            if not accounts:
                del self._accounts[key.namespace]
            return
        known = accounts.get(key.name)
        if known is None or known.quota["spec"] != latest.document["spec"]:
            accounts[key.name] = self._counted(latest.document, key.namespace, store)

    def _counted(self, quota: Object, namespace: str, store: Store) -> Account:
        account = Account(quota)
        hard = quota["spec"].get("hard", {})
        for kind in self._scheme.stored():
            if kind.namespaced and quotas.counts(kind, hard):
                for revision in store.objects(kind.resource, namespace):
                    account.enter(revision.key, quotas.counted_by(quota, kind, revision.document))
        return account

    def _kind(self, resource: str) -> Kind | None:
        """The kind of stored objects; found once, as what a kind counts for never changes."""
        if resource not in self._kinds:
            self._kinds |= {kind.resource: kind for kind in self._scheme.stored()}
        return self._kinds.get(resource)


def _refusal(account: Account, request: Attributes) -> str:
    """Why the quota refuses the request, "" where it does not."""
    quota, name = account.quota, account.quota["metadata"]["name"]
    hard = quota["spec"].get("hard", {})
    if request.old is None:
        lacking = quotas.missing(quota, request.kind, request.obj)
        if lacking:
            return f"failed quota: {name}: must specify {'; '.join(lacking)}"
    wanted = quotas.counted_by(quota, request.kind, request.obj)
    before = quotas.counted_by(quota, request.kind, request.old) if request.old is not None else {}
    more = {one: value - before.get(one, 0) for one, value in wanted.items() if value > before.get(one, 0)}
    over = sorted(one for one in more if account.used.get(one, 0) + more[one] > quantity.nanos(hard[one]))
    if not over:
        return ""
    requested = ",".join(f"{one}={quotas.text(one, more[one])}" for one in over)
    used = ",".join(f"{one}={quotas.text(one, account.used.get(one, 0))}" for one in over)
    limited = ",".join(f"{one}={hard[one]}" for one in over)
    return f"exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
