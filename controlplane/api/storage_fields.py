"""What becomes of every field of volumes, claims and classes: the verdicts behind docs/storage.md.

A verdict is the test that shows the field honoured, as "PATH::NAME" below tests/, or one of
    "honoured: ..."  it is, and no test shows it alone
    "refused: ..."   the API answers with this error, or the pod or claim waits with this event
    "upstream: ..."  it is accepted and does nothing here, as in a cluster of upstream's
A field of the installed definitions that is not in here fails a test.
"""

from __future__ import annotations

VOLUMES = "kernel/node/test_volumes.py"
DISKS = "kernel/node/test_disk_volumes.py"
PATHS = "kernel/node/test_volume_paths.py"
UNMOUNTABLE = "kernel/node/test_volume_failures.py"
PODS = "kernel/node/test_pods.py"
STORAGE = "e2e/test_storage.py"
USE = "e2e/test_storage_use.py"
ATOMIC = "unit/node/test_atomic.py"

PROGRAM = f"{PODS}::test_what_a_manifest_gives_its_program"
BINDING = f"{STORAGE}::test_binding_takes_the_smallest_that_suits"
PROVISIONED = f"{STORAGE}::test_a_claim_is_provisioned_limited_kept_and_deleted"
SET = f"{USE}::test_a_stateful_set_keeps_its_claims"
EPHEMERAL = f"{USE}::test_an_ephemeral_claim_goes_with_its_pod"
GROWS = f"{STORAGE}::test_a_claim_grows"
API = "api/controllers/test_volumes.py"
OWN_DISK = f"{API}::test_a_disk_that_pods_name_themselves_is_attached_to_one_node"
ONE_NODE = f"{USE}::test_a_volume_of_one_node_is_not_had_by_two"
EXPORT = f"{VOLUMES}::test_an_export_is_shared_and_its_parts_stay_inside"
CLASS = f"{STORAGE}::test_a_class_makes_volumes_where_it_may_and_says_where_it_cannot"
FIRST_CONSUMER = f"{STORAGE}::test_waiting_for_the_first_consumer"
RETAINED = f"{STORAGE}::test_a_retained_volume_is_there_for_another_claim"
HOST_PATH = f"{PATHS}::test_host_paths_are_of_their_type"

ALPHA = "upstream: alpha, and its feature gate is off"
NO_PLUGIN = "refused: the pod waits: no volume plugin matched the PersistentVolume"
NO_SECRET = "upstream: the driver of GCE's disks asks for no Secret"
OF_CONTROLLERS = "upstream: the features that write it are off, or their part is done at once"
CORE, STORAGE_GROUP = "io.k8s.api.core.v1", "io.k8s.api.storage.v1"

FIELDS: dict[str, dict[str, str]] = {
    f"{CORE}.EmptyDirVolumeSource": {
        "medium": f"{VOLUMES}::test_a_volume_in_memory_has_its_size",
        "mode": ALPHA,
        "sizeLimit": f"{PODS}::test_a_pod_that_fills_its_volume_is_evicted",
    },
    f"{CORE}.HostPathVolumeSource": {
        "path": f"{PATHS}::test_host_paths_of_the_right_type_are_mounted",
        "type": HOST_PATH,
    },
    f"{CORE}.ConfigMapVolumeSource": {
        "defaultMode": "honoured: the mode of the files",
        "defaultUser": ALPHA,
        "items": PROGRAM,
        "name": PROGRAM,
        "optional": "honoured: what is missing is left out",
    },
    f"{CORE}.SecretVolumeSource": {
        "defaultMode": "honoured: the mode of the files",
        "defaultUser": ALPHA,
        "items": "honoured: as for ConfigMaps",
        "optional": "honoured: what is missing is left out",
        "secretName": PROGRAM,
    },
    f"{CORE}.DownwardAPIVolumeSource": {
        "defaultMode": "honoured: the mode of the files",
        "defaultUser": ALPHA,
        "items": PROGRAM,
    },
    f"{CORE}.DownwardAPIVolumeFile": {
        "fieldRef": PROGRAM,
        "mode": "honoured: goes before defaultMode",
        "path": PROGRAM,
        "resourceFieldRef": "honoured: a limit that is not set is the node's",
        "user": ALPHA,
    },
    f"{CORE}.KeyToPath": {
        "key": PROGRAM,
        "mode": "honoured: goes before defaultMode",
        "path": PROGRAM,
        "user": ALPHA,
    },
    f"{CORE}.ProjectedVolumeSource": {
        "defaultMode": "honoured: the mode of the files",
        "defaultUser": ALPHA,
        "sources": "honoured: their files together",
    },
    f"{CORE}.VolumeProjection": {
        "clusterTrustBundle": "refused: the pod waits: projected volume source clusterTrustBundle is not supported",
        "configMap": "honoured: as a volume of its own",
        "downwardAPI": "honoured: as a volume of its own",
        "podCertificate": "refused: the pod waits: projected volume source podCertificate is not supported",
        "secret": "honoured: as a volume of its own",
        "serviceAccountToken": "honoured: every pod's own token is one",
    },
    f"{CORE}.ServiceAccountTokenProjection": {
        "audience": "honoured: the token is for it",
        "expirationSeconds": f"{VOLUMES}::test_a_token_has_the_mode_of_its_volume_and_is_renewed",
        "path": "honoured: the file's name",
        "user": ALPHA,
    },
    f"{CORE}.VolumeDevice": {
        "devicePath": f"{DISKS}::test_a_raw_block_device",
        "name": f"{DISKS}::test_a_raw_block_device",
    },
    f"{CORE}.NFSVolumeSource": {"path": EXPORT, "readOnly": EXPORT, "server": EXPORT},
    f"{CORE}.GCEPersistentDiskVolumeSource": {
        "fsType": "honoured: ext4, ext3 or ext2; another is refused in the pod's events",
        "partition": "refused: the pod waits: partitions of disks are not supported",
        "pdName": f"{DISKS}::test_a_pod_names_a_disk_itself",
        "readOnly": f"{DISKS}::test_a_pod_names_a_disk_itself",
    },
    f"{CORE}.PersistentVolumeClaimVolumeSource": {
        "claimName": PROVISIONED,
        "readOnly": f"{DISKS}::test_a_claim_is_a_limit_and_outlives_the_pod",
    },
    f"{CORE}.EphemeralVolumeSource": {"volumeClaimTemplate": EPHEMERAL},
    f"{CORE}.PersistentVolumeClaimTemplate": {"metadata": EPHEMERAL, "spec": EPHEMERAL},
    f"{CORE}.PersistentVolumeClaimSpec": {
        "accessModes": f"{USE}::test_a_claim_of_one_pod_is_not_had_by_two",
        "dataSource": "refused: ProvisioningFailed: volumes are not filled from others or from snapshots",
        "dataSourceRef": "refused: ProvisioningFailed: volumes are not filled from others or from snapshots",
        "resources": GROWS,
        "selector": BINDING,
        "storageClassName": BINDING,
        "volumeAttributesClassName": "refused: ProvisioningFailed: the driver has no attributes that could be changed",
        "volumeMode": BINDING,
        "volumeName": BINDING,
    },
    f"{CORE}.PersistentVolumeClaimStatus": {
        "accessModes": PROVISIONED,
        "allocatedResourceStatuses": OF_CONTROLLERS,
        "allocatedResources": OF_CONTROLLERS,
        "capacity": GROWS,
        "conditions": GROWS,
        "currentVolumeAttributesClassName": OF_CONTROLLERS,
        "healthStatus": OF_CONTROLLERS,
        "modifyVolumeStatus": OF_CONTROLLERS,
        "phase": f"{STORAGE}::test_a_bound_claim_that_loses_its_volume_is_lost",
    },
    f"{CORE}.PersistentVolumeSpec": {
        "accessModes": BINDING,
        "awsElasticBlockStore": NO_PLUGIN,
        "azureDisk": NO_PLUGIN,
        "azureFile": NO_PLUGIN,
        "capacity": BINDING,
        "cephfs": NO_PLUGIN,
        "cinder": NO_PLUGIN,
        "claimRef": BINDING,
        "csi": PROVISIONED,
        "fc": NO_PLUGIN,
        "flexVolume": NO_PLUGIN,
        "flocker": NO_PLUGIN,
        "gcePersistentDisk": f"{DISKS}::test_an_old_name_of_a_disk",
        "glusterfs": NO_PLUGIN,
        "hostPath": f"{UNMOUNTABLE}::test_what_cannot_be_mounted_is_said",
        "iscsi": NO_PLUGIN,
        "local": FIRST_CONSUMER,
        "mountOptions": f"{DISKS}::test_mount_options",
        "nfs": f"{USE}::test_a_shared_volume_is_seen_from_every_node",
        "nodeAffinity": FIRST_CONSUMER,
        "persistentVolumeReclaimPolicy": RETAINED,
        "photonPersistentDisk": NO_PLUGIN,
        "portworxVolume": NO_PLUGIN,
        "quobyte": NO_PLUGIN,
        "rbd": NO_PLUGIN,
        "scaleIO": NO_PLUGIN,
        "storageClassName": BINDING,
        "storageos": NO_PLUGIN,
        "volumeAttributesClassName": "upstream: the driver has no attributes that could be changed",
        "volumeMode": BINDING,
        "vsphereVolume": NO_PLUGIN,
    },
    f"{CORE}.PersistentVolumeStatus": {
        "lastPhaseTransitionTime": "honoured: written with the phase",
        "message": "honoured: why a volume could not be reclaimed",
        "phase": RETAINED,
        "reason": OF_CONTROLLERS,
    },
    f"{CORE}.CSIPersistentVolumeSource": {
        "controllerExpandSecretRef": NO_SECRET,
        "controllerPublishSecretRef": NO_SECRET,
        "driver": f"{UNMOUNTABLE}::test_what_cannot_be_mounted_is_said",
        "fsType": "honoured: ext4, ext3 or ext2; another is refused in the pod's events",
        "nodeExpandSecretRef": NO_SECRET,
        "nodePublishSecretRef": NO_SECRET,
        "nodeStageSecretRef": NO_SECRET,
        "readOnly": "honoured: containers see it read-only",
        "volumeAttributes": "upstream: the driver of GCE's disks has none that it minds",
        "volumeHandle": PROVISIONED,
    },
    f"{CORE}.LocalVolumeSource": {
        "fsType": "upstream: it is for block devices; a directory has its file system",
        "path": FIRST_CONSUMER,
    },
    f"{CORE}.VolumeNodeAffinity": {"required": FIRST_CONSUMER},
    f"{STORAGE_GROUP}.StorageClass": {
        "allowVolumeExpansion": GROWS,
        "allowedTopologies": CLASS,
        "apiVersion": f"{STORAGE}::test_the_classes_that_come_with_a_cluster",
        "kind": f"{STORAGE}::test_the_classes_that_come_with_a_cluster",
        "metadata": f"{STORAGE}::test_the_classes_that_come_with_a_cluster",
        "mountOptions": "honoured: those of the volumes it makes",
        "parameters": CLASS,
        "provisioner": CLASS,
        "reclaimPolicy": RETAINED,
        "volumeBindingMode": FIRST_CONSUMER,
    },
    f"{STORAGE_GROUP}.CSINodeDriver": {
        "allocatable": f"{API}::test_a_node_has_no_more_disks_than_its_driver_can",
        "name": f"{STORAGE}::test_the_classes_that_come_with_a_cluster",
        "nodeID": "honoured: the node's name",
        "topologyKeys": "honoured: the label by which new volumes are placed",
    },
    f"{STORAGE_GROUP}.VolumeAttachmentSpec": {"attacher": ONE_NODE, "nodeName": ONE_NODE, "source": ONE_NODE},
    f"{STORAGE_GROUP}.VolumeAttachmentSource": {
        "inlineVolumeSpec": OWN_DISK,
        "persistentVolumeName": ONE_NODE,
    },
    f"{STORAGE_GROUP}.VolumeAttachmentStatus": {
        "attachError": "upstream: attaching does not fail here",
        "attached": f"{DISKS}::test_a_pod_waits_for_the_attachment",
        "attachmentMetadata": "upstream: the driver of GCE's disks has none",
        "detachError": "upstream: detaching does not fail here",
    },
}
