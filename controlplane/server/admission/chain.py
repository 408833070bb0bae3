"""The order in which admission asks: what changes an object comes before what judges it, as upstream.

    plugins ── mutating webhooks ── plugins again, if something changed ── (the kind's own rules)
            ── checks ── validating webhooks ── quotas

So a webhook can mend what a check would refuse, and a quota counts what is really stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api.errors import Conflict
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes, Check, Hooks, NoHooks, Plugin
from controlplane.store import Revision, Store


class Overtaken(Conflict):
    """While webhooks were asked about a write, another write changed the object."""


class Admission:
    """`plugins` fill in and refuse, `checks` only refuse, `quotas` refuse when all others have agreed."""

    def __init__(
        self,
        store: Store,
        *,
        plugins: Sequence[Plugin] = (),
        checks: Sequence[Check] = (),
        quotas: Sequence[Check] = (),
    ) -> None:
        self._store = store
        self._plugins = tuple(plugins)
        self._checks = tuple(checks)
        self._quotas = tuple(quotas)
        self.hooks: Hooks = NoHooks()

    async def change(self, request: Attributes) -> Object:
        """The request's object as it is to be stored: plugins change it in place, webhooks make another of it."""
        self._admit(request)
        if not self.hooks.active:
            return request.obj
        changed = await self.hooks.mutate(request)
        if changed is not request.obj:
            self._admit(request.with_object(changed))
        return changed

    async def judge(self, request: Attributes, previous: Revision | None = None) -> None:
        """Raises the ApiError of who refuses the request; Overtaken when `previous` is no longer the latest.

        What webhooks say holds only if nothing else has changed while they were asked.
        """
        for check in self._checks:
            check.check(request, self._store)
        if self.hooks.active:
            await self.hooks.validate(request)
            if previous is not None and self._store.latest(previous.key) is not previous:
                error = wording.conflict(request.kind, previous.key.name)
                raise Overtaken(error.message, details=error.details)
            self._admit(request)
        for quota in self._quotas:
            quota.check(request, self._store)

    async def consult(self, request: Attributes) -> None:
        """Asks webhooks about an object that is not to be stored."""
        await self.hooks.mutate(request)
        await self.hooks.validate(request)

    def _admit(self, request: Attributes) -> None:
        for plugin in self._plugins:
            plugin.admit(request, self._store)
