"""Puts store, admission and registry together: what an API server is, short of its sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path

from controlplane.api.kinds import BODIES, SERVED
from controlplane.api.scheme import Scheme
from controlplane.server.admission.certificates import CertificateRequests
from controlplane.server.admission.chain import Admission
from controlplane.server.admission.default_ingress_class import DefaultIngressClass
from controlplane.server.admission.default_tolerations import DefaultTolerationSeconds
from controlplane.server.admission.limit_ranger import LimitRanger
from controlplane.server.admission.namespace_lifecycle import NamespaceLifecycle
from controlplane.server.admission.node_restriction import NodeRestriction
from controlplane.server.admission.pod_security import PodSecurity
from controlplane.server.admission.priority import Priority
from controlplane.server.admission.resource_quota import ResourceQuotaAdmission
from controlplane.server.admission.runtime_class import RuntimeClassAdmission
from controlplane.server.admission.service_account import ServiceAccountAdmission
from controlplane.server.admission.service_addresses import ServiceAddresses
from controlplane.server.admission.storage import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from controlplane.server.aggregation.local import LocalServices
from controlplane.server.bootstrap import ensure_service_range, ensure_system_objects
from controlplane.server.conversion import Conversions
from controlplane.server.custom import CustomResources
from controlplane.server.dialing import Dialer
from controlplane.server.outgoing import Outgoing, endpoints_of
from controlplane.server.rbac.aggregation import Aggregation
from controlplane.server.rbac.authorizer import RoleAuthorizer
from controlplane.server.rbac.bootstrap import ensure_default_roles
from controlplane.server.rbac.escalation import RoleEscalation
from controlplane.server.registry import Registry
from controlplane.server.tokens import TokenIssuer
from controlplane.server.webhooks import Webhooks
from controlplane.server.writing import Writer
from controlplane.store import Store, open_store

SERVICE_RANGE = IPv4Network("10.48.0.0/20")


@asynccontextmanager
async def open_registry(
    path: Path,
    *,
    service_range: IPv4Network = SERVICE_RANGE,
    service_account_key: Path | None = None,
    account_patience: float = 0.0,
    dialer: Dialer | None = None,
) -> AsyncIterator[Registry]:
    """The registry on the state file `path`, with every admission plugin, the system objects and the roles in place.

    Without `service_account_key` the tokens it issues are good only until it closes. `account_patience`
    is how long a pod waits for its namespace's first account, and only where a controller makes those.
    """
    async with open_store(path) as store:
        registry, outgoing = _assembled(store, service_range, service_account_key, account_patience, dialer or Dialer())
        await ensure_system_objects(registry)
        await ensure_service_range(registry, service_range)
        await ensure_default_roles(registry)
        try:
            yield registry
        finally:
            await outgoing.close()


def _assembled(
    store: Store, service_range: IPv4Network, key: Path | None, account_patience: float, dialer: Dialer
) -> tuple[Registry, Outgoing]:
    """The registry of a store, and the connections that it makes."""
    addresses = ServiceAddresses(store, service_range)
    authorizer = RoleAuthorizer(store)
    accounts = ServiceAccountAdmission(account_patience)
    scheme = Scheme(SERVED, BODIES)
    conversions = Conversions()
    custom = CustomResources(store, scheme, conversions)
    custom.follow(LocalServices(store, scheme).sync)
    quota = ResourceQuotaAdmission(store, scheme)
    aggregation = Aggregation(store, authorizer.index.settle)
    admission = _admission(store, authorizer, accounts, addresses, quota)
    writer = Writer(
        store,
        admission,
        settlers=(
            custom.settle,
            addresses.settle,
            authorizer.index.settle,
            aggregation.settle,
            accounts.settle,
            quota.settle,
        ),
        waits=(accounts.wait,),
    )
    registry = Registry(store, writer, scheme=scheme, tokens=TokenIssuer(key), authorizer=authorizer)
    outgoing = Outgoing(endpoints_of(registry), dialer)
    conversions.use(outgoing)
    admission.hooks = webhooks = Webhooks(store, scheme, outgoing)
    writer.add_settler(webhooks.settle)
    return registry, outgoing


def _admission(
    store: Store,
    authorizer: RoleAuthorizer,
    accounts: ServiceAccountAdmission,
    addresses: ServiceAddresses,
    quota: ResourceQuotaAdmission,
) -> Admission:
    """Every plugin, in the order in which they are asked."""
    limits = LimitRanger()
    return Admission(
        store,
        plugins=(
            NamespaceLifecycle(),
            limits,
            NodeRestriction(),
            accounts,
            Priority(),
            DefaultTolerationSeconds(),
            DefaultStorageClass(),
            StorageObjectInUseProtection(),
            PersistentVolumeClaimResize(),
            RuntimeClassAdmission(),
            CertificateRequests(authorizer),
            DefaultIngressClass(),
            addresses,
            RoleEscalation(authorizer),
        ),
        checks=(limits, PodSecurity()),
        quotas=(quota,),
    )
