"""The controllers: each brings one part of what is nearer to what should be. One file per controller."""

from __future__ import annotations

from typing import Protocol

from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.controllers.attach_detach import AttachDetach
from controlplane.controllers.autoscaler import HorizontalPodAutoscalerController
from controlplane.controllers.certificate_requests import CertificateRequests
from controlplane.controllers.config import ControllerConfig, LoadBalancerRoutes
from controlplane.controllers.cronjob import CronJobController
from controlplane.controllers.custom_resources import CustomResourceFinalizer
from controlplane.controllers.daemonset import DaemonSetController
from controlplane.controllers.deployment import DeploymentController
from controlplane.controllers.disruption import DisruptionController
from controlplane.controllers.endpoints import EndpointsController
from controlplane.controllers.endpoints_mirroring import EndpointsMirroring
from controlplane.controllers.endpointslice import EndpointSliceController
from controlplane.controllers.ephemeral_volumes import EphemeralVolumes
from controlplane.controllers.event_expiry import EventExpiry
from controlplane.controllers.garbage import GarbageCollector
from controlplane.controllers.job import JobController
from controlplane.controllers.kubernetes_service import KubernetesServiceController
from controlplane.controllers.namespace import NamespaceController
from controlplane.controllers.node_lifecycle import NodeLifecycleController
from controlplane.controllers.pod_gc import PodGarbageCollector
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.controllers.replicationcontroller import ReplicationControllerManager
from controlplane.controllers.resource_quota import ResourceQuotaController
from controlplane.controllers.root_ca import RootCAController
from controlplane.controllers.service_account import ServiceAccountController
from controlplane.controllers.service_load_balancer import ServiceLoadBalancer
from controlplane.controllers.statefulset import StatefulSetController
from controlplane.controllers.storage_classes import StorageClasses
from controlplane.controllers.taint_eviction import TaintEvictionController
from controlplane.controllers.ttl_after_finished import TTLAfterFinished
from controlplane.controllers.volume_binder import VolumeBinder
from controlplane.controllers.volume_expansion import VolumeExpansion
from controlplane.controllers.volume_protection import VolumeProtection
from controlplane.controllers.volume_provisioner import Provisioner

__all__ = ["ControllerConfig", "LoadBalancerRoutes", "build_controllers"]


class Component(Protocol):
    async def run(self) -> None: ...


def build_controllers(client: Client, informers: Informers, config: ControllerConfig) -> list[Component]:
    """All controllers, each to be run as a task of its own; they register their informers here."""
    provisioner = Provisioner(client, informers, config.disks, config.exports)
    return [
        KubernetesServiceController(
            client,
            informers,
            cluster_ip=config.kubernetes_address,
            address=config.api_address,
            port=config.api_port,
        ),
        ServiceAccountController(client, informers),
        RootCAController(client, informers, config.ca_bundle),
        DeploymentController(client, informers),
        ReplicaSetController(client, informers),
        ReplicationControllerManager(client, informers),
        DaemonSetController(client, informers),
        StatefulSetController(client, informers),
        JobController(client, informers),
        TTLAfterFinished(client, informers),
        CronJobController(client, informers),
        HorizontalPodAutoscalerController(client, informers),
        CertificateRequests(client, informers, config.signer),
        DisruptionController(client, informers),
        ResourceQuotaController(client, informers),
        EndpointSliceController(client, informers),
        EndpointsController(client, informers),
        EndpointsMirroring(client, informers),
        ServiceLoadBalancer(client, informers, config.load_balancer_range, config.load_balancer_routes),
        NodeLifecycleController(client, informers, grace_seconds=config.node_grace_seconds),
        TaintEvictionController(client, informers),
        StorageClasses(client, informers),
        VolumeBinder(client, informers, provisioner),
        VolumeExpansion(client, informers, provisioner),
        VolumeProtection(client, informers),
        AttachDetach(client, informers),
        EphemeralVolumes(client, informers),
        PodGarbageCollector(client, informers),
        NamespaceController(client, informers),
        GarbageCollector(client, informers),
        CustomResourceFinalizer(client, informers),
        EventExpiry(client, ttl_seconds=config.event_ttl_seconds),
    ]
