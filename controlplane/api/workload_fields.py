"""What becomes of every field of a pod and of the workloads: the verdicts behind docs/workloads.md.

A verdict is the test that shows the field honoured, as "PATH::NAME" below tests/, or one of
    "honoured: ..."  it is, and no test shows it alone
    "refused: ..."   the API answers with this error, or the pod waits with this event
    "upstream: ..."  it is accepted and does nothing here, as in a cluster of upstream's
Fields that are accepted with a Warning are not in here: `unsupported.py` has them. A field of the installed definitions
that is in neither fails a test, and so does one that is in both.
"""

from __future__ import annotations

POD = "kernel/node/test_pods.py"
IMAGES = "kernel/node/test_images.py"
PULLS = "kernel/node/test_image_pulls.py"
NAMES = "kernel/node/test_restart_rules.py"
SECURITY = "kernel/node/test_security.py"
VOLUMES = "kernel/node/test_volumes.py"
DISKS = "kernel/node/test_disk_volumes.py"
PATHS = "kernel/node/test_volume_paths.py"
STREAMS = "e2e/test_streams.py"
UNIT_SECURITY = "unit/node/test_security.py"
PODFILES = "unit/node/test_podfiles.py"
SCHEDULER = "api/controllers/test_scheduler.py"
FILTERS = "unit/scheduler/test_filters.py"
ADMISSION = "unit/server/test_admission.py"
DEPLOYMENT = "api/controllers/test_deployment.py"
REPLICA_SET = "api/controllers/test_replicaset.py"
REPLICATION_CONTROLLER = "api/controllers/test_replicationcontroller.py"
DAEMON_SET = "api/controllers/test_daemonset.py"
STATEFUL_SET = "api/controllers/test_statefulset.py"
JOB = "api/controllers/test_job.py"
JOB_INDEXES = "api/controllers/test_job_indexes.py"
CRON_JOB = "api/controllers/test_cronjob.py"

PROGRAM = f"{POD}::test_what_a_manifest_gives_its_program"
PROBES = f"{POD}::test_probes_hold_back_and_restart"
OVERRULES = f"{UNIT_SECURITY}::test_the_container_overrules_the_pod_and_both_the_image"
NON_ROOT = f"{UNIT_SECURITY}::test_run_as_non_root_is_verified"
SECCOMP = f"{SECURITY}::test_seccomp_profiles_hold"
REFUSED_BY_NODE = f"{SECURITY}::test_a_pod_that_the_node_refuses_is_failed"
WAITS = "refused: the pod stays Pending: pod uses spec.{}, which the scheduler of netsim does not support yet"
JOB_FORBIDS = "refused: Forbidden: not supported by this version of netsim"

FIELDS: dict[str, dict[str, str]] = {
    "io.k8s.api.core.v1.PodSpec": {
        "activeDeadlineSeconds": f"{POD}::test_a_pod_past_its_deadline_is_ended",
        "affinity": f"{SCHEDULER}::test_anti_affinity_keeps_one_pod_a_node",
        "automountServiceAccountToken": f"{ADMISSION}::test_a_pod_finds_its_accounts_token",
        "containers": f"{POD}::test_two_containers_share_the_pods_network",
        "dnsConfig": f"{PODFILES}::test_policies_and_config",
        "dnsPolicy": "e2e/test_dns.py::test_a_pod_in_the_nodes_network_asks_where_its_policy_says",
        "enableServiceLinks": (
            "unit/node/test_values.py::test_service_variables_are_those_of_the_namespace_and_of_kubernetes"
        ),
        "ephemeralContainers": "kernel/node/test_ephemeral.py::test_it_joins_the_pod_and_its_targets_processes",
        "hostAliases": f"{PODFILES}::test_hosts_names_the_pod_and_its_aliases",
        "hostIPC": f"{POD}::test_host_ipc_shares_the_hosts",
        "hostNetwork": f"{POD}::test_host_network_uses_the_nodes",
        "hostPID": "e2e/test_debug_and_proxy.py::test_a_node_is_debugged",
        "hostname": "e2e/test_dns.py::test_a_pod_with_hostname_and_subdomain_has_a_name",
        "hostnameOverride": f"{NAMES}::test_a_pod_is_called_as_it_asks",
        "imagePullSecrets": f"{PULLS}::test_an_image_is_pulled_with_the_pod_s_secret",
        "initContainers": f"{POD}::test_init_containers_run_in_order_and_a_pod_can_end",
        "nodeName": f"{POD}::test_a_server_stands_in_and_says_so",
        "nodeSelector": f"{FILTERS}::test_node_selector_and_affinity",
        "os": "upstream: every node runs Linux; a pod for another system matches none",
        "overhead": (
            "unit/scheduler/test_state.py::test_requests_of_containers_add_up_and_init_containers_run_one_by_one"
        ),
        "preemptionPolicy": "api/controllers/test_preemption.py::test_policy_never_takes_nobodys_place",
        "priority": "unit/scheduler/test_state.py::test_priority_first_then_order_of_arrival",
        "priorityClassName": f"{ADMISSION}::test_priority_comes_from_its_class",
        "readinessGates": "unit/node/test_status.py::test_readiness_gates_count",
        "resourceClaims": WAITS.format("resourceClaims"),
        "restartPolicy": "unit/node/test_status.py::test_phases_of_the_end_follow_the_restart_policy",
        "schedulerName": f"{SCHEDULER}::test_other_schedulers_pods_are_left_alone",
        "schedulingGates": f"{SCHEDULER}::test_a_gated_pod_waits_until_its_gate_is_gone",
        "schedulingGroup": WAITS.format("schedulingGroup"),
        "securityContext": OVERRULES,
        "serviceAccount": "upstream: an old name of serviceAccountName",
        "serviceAccountName": f"{ADMISSION}::test_an_account_that_is_named_must_be_there",
        "setHostnameAsFQDN": f"{NAMES}::test_a_pod_is_called_as_it_asks",
        "shareProcessNamespace": f"{SECURITY}::test_containers_that_share_their_processes_see_each_other",
        "subdomain": "e2e/test_dns.py::test_a_pod_with_hostname_and_subdomain_has_a_name",
        "terminationGracePeriodSeconds": f"{POD}::test_hooks_run_and_a_deaf_program_is_killed_after_its_grace",
        "tolerations": f"{FILTERS}::test_taints",
        "topologySpreadConstraints": f"{FILTERS}::test_topology_spread_constraints",
        "volumes": PROGRAM,
    },
    "io.k8s.api.core.v1.PodSecurityContext": {
        "appArmorProfile": REFUSED_BY_NODE,
        "fsGroup": f"{VOLUMES}::test_a_group_owns_the_volume",
        "fsGroupChangePolicy": f"{VOLUMES}::test_a_group_owns_the_volume",
        "runAsGroup": OVERRULES,
        "runAsNonRoot": NON_ROOT,
        "runAsUser": OVERRULES,
        "seccompProfile": SECCOMP,
        "supplementalGroups": OVERRULES,
        "supplementalGroupsPolicy": f"{UNIT_SECURITY}::test_an_image_s_users_have_names_and_groups",
        "sysctls": REFUSED_BY_NODE,
    },
    "io.k8s.api.core.v1.Container": {
        "args": f"{IMAGES}::test_command_and_args_override_as_in_the_documentation",
        "command": f"{IMAGES}::test_command_and_args_override_as_in_the_documentation",
        "env": PROGRAM,
        "envFrom": PROGRAM,
        "image": f"{IMAGES}::test_what_the_image_says_is_honoured",
        "imagePullPolicy": f"{PULLS}::test_never_and_a_bad_name_wait_with_their_reasons",
        "lifecycle": f"{POD}::test_hooks_run_and_a_deaf_program_is_killed_after_its_grace",
        "livenessProbe": f"{POD}::test_a_failing_liveness_probe_restarts_the_container",
        "name": f"{POD}::test_two_containers_share_the_pods_network",
        "ports": f"{POD}::test_two_containers_share_the_pods_network",
        "readinessProbe": PROBES,
        "resizePolicy": "kernel/node/test_resize.py::test_a_policy_may_ask_for_a_restart",
        "resources": f"{UNIT_SECURITY}::test_requests_and_limits_become_cgroup_values",
        "restartPolicy": f"{NAMES}::test_a_container_s_own_policy_goes_before_the_pod_s",
        "restartPolicyRules": f"{NAMES}::test_a_rule_restarts_what_its_policy_would_not",
        "securityContext": OVERRULES,
        "startupProbe": "kernel/node/test_probe_fields.py::test_delays_and_thresholds",
        "stdin": f"{STREAMS}::test_a_pod_run_with_a_terminal_is_a_shell_of_its_own",
        "stdinOnce": f"{STREAMS}::test_input_of_a_run_pod_ends_with_its_callers",
        "terminationMessagePath": f"{POD}::test_a_failed_pod_says_with_which_status",
        "terminationMessagePolicy": "unit/node/test_termination.py::test_the_end_of_the_log_stands_in_for_a_message",
        "tty": f"{STREAMS}::test_a_pod_run_with_a_terminal_is_a_shell_of_its_own",
        "volumeDevices": f"{DISKS}::test_a_raw_block_device",
        "volumeMounts": PROGRAM,
        "workingDir": PROGRAM,
    },
    "io.k8s.api.core.v1.SecurityContext": {
        "allowPrivilegeEscalation": f"{UNIT_SECURITY}::test_what_a_container_may_become",
        "appArmorProfile": REFUSED_BY_NODE,
        "capabilities": f"{UNIT_SECURITY}::test_capabilities_are_added_and_dropped",
        "privileged": f"{UNIT_SECURITY}::test_all_is_what_this_process_may_hand_on",
        "procMount": f"{UNIT_SECURITY}::test_what_a_container_may_become",
        "readOnlyRootFilesystem": f"{IMAGES}::test_a_read_only_root_has_writable_volumes",
        "runAsGroup": OVERRULES,
        "runAsNonRoot": NON_ROOT,
        "runAsUser": OVERRULES,
        "seccompProfile": SECCOMP,
    },
    "io.k8s.api.core.v1.ContainerPort": {
        "containerPort": f"{POD}::test_two_containers_share_the_pods_network",
        "hostIP": "kernel/cni/test_more_plugins.py::test_mapped_ports_of_an_address_and_by_udp",
        "hostPort": "e2e/test_host_ports.py::test_a_host_port_leads_to_the_pod_until_it_goes",
        "name": "e2e/test_dns.py::test_a_pod_with_hostname_and_subdomain_has_a_name",
        "protocol": "kernel/cni/test_more_plugins.py::test_mapped_ports_of_an_address_and_by_udp",
    },
    "io.k8s.api.core.v1.VolumeMount": {
        "mountPath": PROGRAM,
        "mountPropagation": f"{VOLUMES}::test_mounts_propagate_where_the_manifest_says",
        "name": PROGRAM,
        "readOnly": f"{DISKS}::test_a_claim_is_a_limit_and_outlives_the_pod",
        "recursiveReadOnly": f"{NAMES}::test_a_mount_is_read_only_with_what_is_mounted_in_it",
        "subPath": "kernel/node/test_containment.py::test_a_part_of_a_volume_is_made_mounted_and_let_go",
        "subPathExpr": f"{PATHS}::test_a_part_with_a_name_from_the_environment",
    },
    "io.k8s.api.core.v1.Probe": {
        "exec": PROBES,
        "failureThreshold": PROBES,
        "grpc": f"{POD}::test_a_grpc_probe_of_another_protocol_fails_with_what_is_wrong",
        "httpGet": PROBES,
        "initialDelaySeconds": "kernel/node/test_probe_fields.py::test_delays_and_thresholds",
        "periodSeconds": PROBES,
        "successThreshold": "kernel/node/test_probe_fields.py::test_delays_and_thresholds",
        "tcpSocket": "kernel/node/test_probe_fields.py::test_delays_and_thresholds",
        "terminationGracePeriodSeconds": f"{POD}::test_a_failing_liveness_probe_restarts_the_container",
        "timeoutSeconds": (
            "kernel/node/test_probe_answers.py::"
            "test_an_answer_without_end_and_a_program_that_cannot_start_are_failed_probes"
        ),
    },
    "io.k8s.api.core.v1.Lifecycle": {
        "postStart": "kernel/node/test_hooks.py::test_a_failed_post_start_ends_the_container",
        "preStop": f"{POD}::test_hooks_run_and_a_deaf_program_is_killed_after_its_grace",
        "stopSignal": "unit/node/test_signals.py::test_names_and_numbers",
    },
    "io.k8s.api.core.v1.LifecycleHandler": {
        "exec": "kernel/node/test_hooks.py::test_a_failed_post_start_ends_the_container",
        "httpGet": "kernel/node/test_hooks.py::test_a_hook_that_goes_wrong_does_not_keep_a_pod_from_ending",
        "sleep": "kernel/node/test_hooks.py::test_hooks_that_wait_hold_no_worker",
        "tcpSocket": "upstream: kept for compatibility; a hook of this type fails when it is run",
    },
    "io.k8s.api.core.v1.EnvVarSource": {
        "configMapKeyRef": PROGRAM,
        "fieldRef": "unit/node/test_values.py::test_fields_of_the_pod",
        "fileKeyRef": "refused: the container waits in CreateContainerConfigError: unsupported env source: fileKeyRef",
        "resourceFieldRef": "unit/node/test_values.py::test_resources_of_a_container",
        "secretKeyRef": PROGRAM,
    },
    "io.k8s.api.core.v1.EnvFromSource": {"configMapRef": PROGRAM, "prefix": PROGRAM, "secretRef": PROGRAM},
    "io.k8s.api.core.v1.ResourceRequirements": {
        "claims": "upstream: names one of the pod's resourceClaims, with which the pod waits",
        "limits": f"{UNIT_SECURITY}::test_requests_and_limits_become_cgroup_values",
        "requests": f"{FILTERS}::test_insufficient_resources_are_counted_per_resource",
    },
    "io.k8s.api.core.v1.Volume": {
        "configMap": PROGRAM,
        "downwardAPI": PROGRAM,
        "emptyDir": PROGRAM,
        "ephemeral": "honoured: a claim of its own for the pod",
        "gcePersistentDisk": "honoured: as a PersistentVolume of that kind",
        "hostPath": f"{PATHS}::test_host_paths_of_the_right_type_are_mounted",
        "name": PROGRAM,
        "nfs": f"{VOLUMES}::test_an_export_is_shared_and_its_parts_stay_inside",
        "persistentVolumeClaim": f"{DISKS}::test_a_claim_is_a_limit_and_outlives_the_pod",
        "projected": f"{ADMISSION}::test_a_pod_finds_its_accounts_token",
        "secret": f"{PATHS}::test_a_link_planted_in_a_volume_leads_no_mount_out",
    },
    "io.k8s.api.apps.v1.DeploymentSpec": {
        "minReadySeconds": f"{REPLICA_SET}::test_min_ready_seconds_delays_availability",
        "paused": f"{DEPLOYMENT}::test_paused_changes_wait_for_resume",
        "progressDeadlineSeconds": f"{DEPLOYMENT}::test_a_rollout_that_stands_still_times_out",
        "replicas": f"{DEPLOYMENT}::test_scaling_keeps_the_revision_and_tells",
        "revisionHistoryLimit": f"{DEPLOYMENT}::test_history_is_kept_to_its_limit",
        "selector": f"{DEPLOYMENT}::test_first_rollout",
        "strategy": f"{DEPLOYMENT}::test_recreate_ends_all_old_pods_before_the_first_new_one",
        "template": f"{DEPLOYMENT}::test_a_new_image_rolls_without_going_below_or_above",
    },
    "io.k8s.api.apps.v1.RollingUpdateDeployment": {
        "maxSurge": f"{DEPLOYMENT}::test_a_new_image_rolls_without_going_below_or_above",
        "maxUnavailable": f"{DEPLOYMENT}::test_a_new_image_rolls_without_going_below_or_above",
    },
    "io.k8s.api.apps.v1.ReplicaSetSpec": {
        "minReadySeconds": f"{REPLICA_SET}::test_min_ready_seconds_delays_availability",
        "replicas": f"{REPLICA_SET}::test_scaling_down_deletes_the_pods_that_are_not_ready_first",
        "selector": f"{REPLICA_SET}::test_adopts_an_orphan_and_releases_what_no_longer_matches",
        "template": f"{REPLICA_SET}::test_creates_the_pods_and_says_so",
    },
    "io.k8s.api.core.v1.ReplicationControllerSpec": {
        "minReadySeconds": f"{REPLICA_SET}::test_min_ready_seconds_delays_availability",
        "replicas": f"{REPLICATION_CONTROLLER}::test_a_pod_that_goes_is_replaced",
        "selector": (
            f"{REPLICATION_CONTROLLER}::test_selector_and_labels_come_from_the_template_and_pods_follow_the_size"
        ),
        "template": (
            f"{REPLICATION_CONTROLLER}::test_selector_and_labels_come_from_the_template_and_pods_follow_the_size"
        ),
    },
    "io.k8s.api.apps.v1.DaemonSetSpec": {
        "minReadySeconds": f"{DAEMON_SET}::test_a_rolling_update_stops_at_pods_that_do_not_come_up",
        "revisionHistoryLimit": f"{DAEMON_SET}::test_revisions_are_numbered_reused_and_trimmed",
        "selector": f"{DAEMON_SET}::test_one_pod_on_every_node_and_on_nodes_that_come",
        "template": f"{DAEMON_SET}::test_one_pod_on_every_node_and_on_nodes_that_come",
        "updateStrategy": f"{DAEMON_SET}::test_on_delete_waits_for_the_user",
    },
    "io.k8s.api.apps.v1.RollingUpdateDaemonSet": {
        "maxSurge": f"{DAEMON_SET}::test_surge_keeps_every_node_served",
        "maxUnavailable": f"{DAEMON_SET}::test_a_rolling_update_stops_at_pods_that_do_not_come_up",
    },
    "io.k8s.api.apps.v1.StatefulSetSpec": {
        "minReadySeconds": f"{STATEFUL_SET}::test_pods_come_in_order_with_names_that_last",
        "ordinals": f"{STATEFUL_SET}::test_ordinals_may_start_elsewhere_and_ended_pods_are_replaced",
        "persistentVolumeClaimRetentionPolicy": "honoured: whenDeleted and whenScaled",
        "podManagementPolicy": f"{STATEFUL_SET}::test_parallel_waits_for_nobody",
        "replicas": f"{STATEFUL_SET}::test_the_highest_go_first_and_a_deleted_one_comes_back",
        "revisionHistoryLimit": f"{DAEMON_SET}::test_revisions_are_numbered_reused_and_trimmed",
        "selector": f"{STATEFUL_SET}::test_only_pods_with_a_name_of_the_set_are_adopted",
        "serviceName": f"{STATEFUL_SET}::test_pods_come_in_order_with_names_that_last",
        "template": f"{STATEFUL_SET}::test_pods_come_in_order_with_names_that_last",
        "updateStrategy": f"{STATEFUL_SET}::test_on_delete_waits_for_the_user",
        "volumeClaimTemplates": "honoured: a claim of each pod",
    },
    "io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy": {
        "maxUnavailable": "honoured: with podManagementPolicy Parallel",
        "partition": f"{STATEFUL_SET}::test_an_update_goes_from_the_last_to_the_first_and_down_to_the_partition",
    },
    "io.k8s.api.batch.v1.JobSpec": {
        "activeDeadlineSeconds": f"{JOB}::test_the_deadline_ends_what_runs",
        "backoffLimit": f"{JOB}::test_failures_are_retried_until_the_limit",
        "backoffLimitPerIndex": f"{JOB_INDEXES}::test_an_index_that_fails_too_often_fails_alone",
        "completionMode": f"{JOB}::test_each_index_succeeds_once",
        "completions": f"{JOB}::test_completions_in_parallel",
        "managedBy": "upstream: a Job that another controller manages is left to it",
        "manualSelector": f"{JOB}::test_defaults_and_the_selector_of_its_own",
        "maxFailedIndexes": f"{JOB_INDEXES}::test_too_many_failed_indexes_end_the_job",
        "parallelism": f"{JOB}::test_completions_in_parallel",
        "podFailurePolicy": f"{JOB}::test_rules_for_failures",
        "podReplacementPolicy": f"{JOB}::test_defaults_and_the_selector_of_its_own",
        "selector": f"{JOB}::test_defaults_and_the_selector_of_its_own",
        "scheduling": JOB_FORBIDS,
        "successPolicy": f"{JOB_INDEXES}::test_a_job_succeeds_by_the_rule_of_its_own",
        "suspend": f"{JOB}::test_suspend_and_resume",
        "template": f"{JOB}::test_completions_in_parallel",
        "ttlSecondsAfterFinished": f"{JOB}::test_ttl_deletes_the_job_with_its_pods",
    },
    "io.k8s.api.batch.v1.PodFailurePolicyRule": {
        "action": f"{JOB}::test_rules_for_failures",
        "onExitCodes": f"{JOB}::test_rules_for_failures",
        "onPodConditions": "unit/controllers/test_jobs.py::test_the_first_rule_that_fits_decides",
    },
    "io.k8s.api.batch.v1.CronJobSpec": {
        "concurrencyPolicy": f"{CRON_JOB}::test_forbid_waits_for_the_running_one",
        "failedJobsHistoryLimit": f"{CRON_JOB}::test_a_job_a_minute_and_a_history_of_three",
        "jobTemplate": f"{CRON_JOB}::test_the_template_of_the_jobs_is_judged_too",
        "schedule": "e2e/test_workloads.py::test_a_cron_job_starts_jobs",
        "startingDeadlineSeconds": f"{CRON_JOB}::test_what_is_too_late_is_missed",
        "successfulJobsHistoryLimit": f"{CRON_JOB}::test_a_job_a_minute_and_a_history_of_three",
        "suspend": f"{CRON_JOB}::test_suspended_nothing_starts_and_of_what_was_missed_only_the_last",
        "timeZone": ("unit/controllers/test_cron_schedule.py::test_the_job_says_its_time_in_the_zone_of_the_schedule"),
    },
}
"""Definition, field, verdict."""
