"""Every kind that netsim knows, one file per kind or tight family.

`SERVED` are the resources, in no particular order: adding a kind is adding a file and a name here.
SCALE, EVICTION and TOKEN_REQUEST are bodies of subresources and are not served by themselves.
"""

from __future__ import annotations

from controlplane.api.kinds.authentication import SELF_SUBJECT_REVIEW, TOKEN_REVIEW
from controlplane.api.kinds.authorization import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
)
from controlplane.api.kinds.config_map import CONFIG_MAP
from controlplane.api.kinds.controller_revision import CONTROLLER_REVISION
from controlplane.api.kinds.cron_job import CRON_JOB
from controlplane.api.kinds.daemon_set import DAEMON_SET
from controlplane.api.kinds.deployment import DEPLOYMENT
from controlplane.api.kinds.endpoint_slice import ENDPOINT_SLICE
from controlplane.api.kinds.endpoints import ENDPOINTS
from controlplane.api.kinds.event import EVENT
from controlplane.api.kinds.job import JOB
from controlplane.api.kinds.lease import LEASE
from controlplane.api.kinds.namespace import NAMESPACE
from controlplane.api.kinds.node import NODE
from controlplane.api.kinds.pod import BINDING, EVICTION, POD
from controlplane.api.kinds.priority_class import PRIORITY_CLASS
from controlplane.api.kinds.replica_set import REPLICA_SET
from controlplane.api.kinds.replication_controller import REPLICATION_CONTROLLER
from controlplane.api.kinds.role import CLUSTER_ROLE, ROLE
from controlplane.api.kinds.role_binding import CLUSTER_ROLE_BINDING, ROLE_BINDING
from controlplane.api.kinds.scale import SCALE
from controlplane.api.kinds.secret import SECRET
from controlplane.api.kinds.service import SERVICE
from controlplane.api.kinds.service_account import SERVICE_ACCOUNT, TOKEN_REQUEST
from controlplane.api.kinds.stateful_set import STATEFUL_SET
from controlplane.api.types import Kind

SERVED: tuple[Kind, ...] = (
    BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINTS,
    ENDPOINT_SLICE,
    EVENT,
    JOB,
    LEASE,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    NAMESPACE,
    NODE,
    POD,
    PRIORITY_CLASS,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)

BODIES: tuple[Kind, ...] = (EVICTION, SCALE, TOKEN_REQUEST)

__all__ = [
    "BINDING",
    "BODIES",
    "CLUSTER_ROLE",
    "CLUSTER_ROLE_BINDING",
    "CONFIG_MAP",
    "CONTROLLER_REVISION",
    "CRON_JOB",
    "DAEMON_SET",
    "DEPLOYMENT",
    "ENDPOINTS",
    "ENDPOINT_SLICE",
    "EVENT",
    "EVICTION",
    "JOB",
    "LEASE",
    "LOCAL_SUBJECT_ACCESS_REVIEW",
    "NAMESPACE",
    "NODE",
    "POD",
    "PRIORITY_CLASS",
    "REPLICATION_CONTROLLER",
    "REPLICA_SET",
    "ROLE",
    "ROLE_BINDING",
    "SCALE",
    "SECRET",
    "SELF_SUBJECT_ACCESS_REVIEW",
    "SELF_SUBJECT_REVIEW",
    "SELF_SUBJECT_RULES_REVIEW",
    "SERVED",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "STATEFUL_SET",
    "SUBJECT_ACCESS_REVIEW",
    "TOKEN_REQUEST",
    "TOKEN_REVIEW",
]
