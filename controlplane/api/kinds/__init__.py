"""Every kind that netsim knows, one file per kind or tight family.

`SERVED` are the resources, in no particular order: adding a kind is adding a file and a name here.
SCALE, EVICTION and TOKEN_REQUEST are bodies of subresources and are not served by themselves.
"""

from __future__ import annotations

from controlplane.api.kinds.api_service import API_SERVICE
from controlplane.api.kinds.authentication import SELF_SUBJECT_REVIEW, TOKEN_REVIEW
from controlplane.api.kinds.authorization import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
)
from controlplane.api.kinds.certificate_signing_request import CERTIFICATE_SIGNING_REQUEST
from controlplane.api.kinds.cluster_trust_bundle import CLUSTER_TRUST_BUNDLE
from controlplane.api.kinds.component_status import COMPONENT_STATUS
from controlplane.api.kinds.config_map import CONFIG_MAP
from controlplane.api.kinds.controller_revision import CONTROLLER_REVISION
from controlplane.api.kinds.cron_job import CRON_JOB
from controlplane.api.kinds.csi_driver import CSI_DRIVER
from controlplane.api.kinds.csi_node import CSI_NODE
from controlplane.api.kinds.csi_storage_capacity import CSI_STORAGE_CAPACITY
from controlplane.api.kinds.custom_resource_definition import CUSTOM_RESOURCE_DEFINITION
from controlplane.api.kinds.daemon_set import DAEMON_SET
from controlplane.api.kinds.deployment import DEPLOYMENT
from controlplane.api.kinds.device_class import DEVICE_CLASS
from controlplane.api.kinds.device_taint_rule import DEVICE_TAINT_RULE
from controlplane.api.kinds.endpoint_slice import ENDPOINT_SLICE
from controlplane.api.kinds.endpoints import ENDPOINTS
from controlplane.api.kinds.event import EVENT
from controlplane.api.kinds.events_event import EVENTS_EVENT
from controlplane.api.kinds.flow_schema import FLOW_SCHEMA
from controlplane.api.kinds.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALER
from controlplane.api.kinds.horizontal_pod_autoscaler_v1 import HORIZONTAL_POD_AUTOSCALER_V1
from controlplane.api.kinds.ingress import INGRESS
from controlplane.api.kinds.ingress_class import INGRESS_CLASS
from controlplane.api.kinds.ip_address import IP_ADDRESS
from controlplane.api.kinds.job import JOB
from controlplane.api.kinds.lease import LEASE
from controlplane.api.kinds.limit_range import LIMIT_RANGE
from controlplane.api.kinds.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
)
from controlplane.api.kinds.namespace import NAMESPACE
from controlplane.api.kinds.network_policy import NETWORK_POLICY
from controlplane.api.kinds.node import NODE
from controlplane.api.kinds.persistent_volume import PERSISTENT_VOLUME
from controlplane.api.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from controlplane.api.kinds.pod import BINDING, EVICTION, POD
from controlplane.api.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from controlplane.api.kinds.pod_disruption_budget import POD_DISRUPTION_BUDGET
from controlplane.api.kinds.pod_template import POD_TEMPLATE
from controlplane.api.kinds.priority_class import PRIORITY_CLASS
from controlplane.api.kinds.priority_level_configuration import PRIORITY_LEVEL_CONFIGURATION
from controlplane.api.kinds.replica_set import REPLICA_SET
from controlplane.api.kinds.replication_controller import REPLICATION_CONTROLLER
from controlplane.api.kinds.resource_claim import RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE
from controlplane.api.kinds.resource_quota import RESOURCE_QUOTA
from controlplane.api.kinds.resource_slice import RESOURCE_SLICE
from controlplane.api.kinds.role import CLUSTER_ROLE, ROLE
from controlplane.api.kinds.role_binding import CLUSTER_ROLE_BINDING, ROLE_BINDING
from controlplane.api.kinds.runtime_class import RUNTIME_CLASS
from controlplane.api.kinds.scale import SCALE
from controlplane.api.kinds.secret import SECRET
from controlplane.api.kinds.service import SERVICE
from controlplane.api.kinds.service_account import SERVICE_ACCOUNT, TOKEN_REQUEST
from controlplane.api.kinds.service_cidr import SERVICE_CIDR
from controlplane.api.kinds.stateful_set import STATEFUL_SET
from controlplane.api.kinds.storage_class import STORAGE_CLASS
from controlplane.api.kinds.storage_version_migration import STORAGE_VERSION_MIGRATION
from controlplane.api.kinds.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from controlplane.api.kinds.volume_attachment import VOLUME_ATTACHMENT
from controlplane.api.kinds.volume_attributes_class import VOLUME_ATTRIBUTES_CLASS
from controlplane.api.kinds.webhook_configuration import (
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from controlplane.api.types import Kind

SERVED: tuple[Kind, ...] = (
    API_SERVICE,
    BINDING,
    CERTIFICATE_SIGNING_REQUEST,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CLUSTER_TRUST_BUNDLE,
    COMPONENT_STATUS,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CRON_JOB,
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    CUSTOM_RESOURCE_DEFINITION,
    DAEMON_SET,
    DEPLOYMENT,
    DEVICE_CLASS,
    DEVICE_TAINT_RULE,
    ENDPOINTS,
    ENDPOINT_SLICE,
    EVENT,
    EVENTS_EVENT,
    FLOW_SCHEMA,
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    INGRESS,
    INGRESS_CLASS,
    IP_ADDRESS,
    JOB,
    LEASE,
    LIMIT_RANGE,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    MUTATING_WEBHOOK_CONFIGURATION,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_CERTIFICATE_REQUEST,
    POD_DISRUPTION_BUDGET,
    POD_TEMPLATE,
    PRIORITY_CLASS,
    PRIORITY_LEVEL_CONFIGURATION,
    REPLICATION_CONTROLLER,
    REPLICA_SET,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_QUOTA,
    RESOURCE_SLICE,
    ROLE,
    ROLE_BINDING,
    RUNTIME_CLASS,
    SECRET,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_CIDR,
    STATEFUL_SET,
    STORAGE_CLASS,
    STORAGE_VERSION_MIGRATION,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
)

BODIES: tuple[Kind, ...] = (EVICTION, SCALE, TOKEN_REQUEST)

__all__ = [
    "API_SERVICE",
    "BINDING",
    "BODIES",
    "CERTIFICATE_SIGNING_REQUEST",
    "CLUSTER_ROLE",
    "CLUSTER_ROLE_BINDING",
    "CLUSTER_TRUST_BUNDLE",
    "COMPONENT_STATUS",
    "CONFIG_MAP",
    "CONTROLLER_REVISION",
    "CRON_JOB",
    "CSI_DRIVER",
    "CSI_NODE",
    "CSI_STORAGE_CAPACITY",
    "CUSTOM_RESOURCE_DEFINITION",
    "DAEMON_SET",
    "DEPLOYMENT",
    "DEVICE_CLASS",
    "DEVICE_TAINT_RULE",
    "ENDPOINTS",
    "ENDPOINT_SLICE",
    "EVENT",
    "EVENTS_EVENT",
    "EVICTION",
    "FLOW_SCHEMA",
    "HORIZONTAL_POD_AUTOSCALER",
    "HORIZONTAL_POD_AUTOSCALER_V1",
    "INGRESS",
    "INGRESS_CLASS",
    "IP_ADDRESS",
    "JOB",
    "LEASE",
    "LIMIT_RANGE",
    "LOCAL_SUBJECT_ACCESS_REVIEW",
    "MUTATING_ADMISSION_POLICY",
    "MUTATING_ADMISSION_POLICY_BINDING",
    "MUTATING_WEBHOOK_CONFIGURATION",
    "NAMESPACE",
    "NETWORK_POLICY",
    "NODE",
    "PERSISTENT_VOLUME",
    "PERSISTENT_VOLUME_CLAIM",
    "POD",
    "POD_CERTIFICATE_REQUEST",
    "POD_DISRUPTION_BUDGET",
    "POD_TEMPLATE",
    "PRIORITY_CLASS",
    "PRIORITY_LEVEL_CONFIGURATION",
    "REPLICATION_CONTROLLER",
    "REPLICA_SET",
    "RESOURCE_CLAIM",
    "RESOURCE_CLAIM_TEMPLATE",
    "RESOURCE_QUOTA",
    "RESOURCE_SLICE",
    "ROLE",
    "ROLE_BINDING",
    "RUNTIME_CLASS",
    "SCALE",
    "SECRET",
    "SELF_SUBJECT_ACCESS_REVIEW",
    "SELF_SUBJECT_REVIEW",
    "SELF_SUBJECT_RULES_REVIEW",
    "SERVED",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "SERVICE_CIDR",
    "STATEFUL_SET",
    "STORAGE_CLASS",
    "STORAGE_VERSION_MIGRATION",
    "SUBJECT_ACCESS_REVIEW",
    "TOKEN_REQUEST",
    "TOKEN_REVIEW",
    "VALIDATING_ADMISSION_POLICY",
    "VALIDATING_ADMISSION_POLICY_BINDING",
    "VALIDATING_WEBHOOK_CONFIGURATION",
    "VOLUME_ATTACHMENT",
    "VOLUME_ATTRIBUTES_CLASS",
]
