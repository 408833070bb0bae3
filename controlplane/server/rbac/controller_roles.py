"""The roles of upstream's controllers, each bound to the kube-system account of its name.

The controllers of this cluster work inside the API server and need none of them; upstream's own, run
beside it, do. The lines are those of `defaults`.
"""

from __future__ import annotations

PREFIX = "system:controller:"

CONTROLLER_ROLES = {
    "attachdetach-controller": """
        list,watch core persistentvolumes,persistentvolumeclaims
        read core nodes
        patch,update core nodes/status
        list,watch core pods
        events
        create,delete,read storage volumeattachments
        read storage csidrivers
        read storage csinodes""",
    "certificate-controller": """
        delete,read certs certificatesigningrequests
        update certs certificatesigningrequests/approval,certificatesigningrequests/status
        approve certs signers kubernetes.io/kube-apiserver-client-kubelet
        sign certs signers kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client \
kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving
        create authz subjectaccessreviews
        events""",
    "clusterrole-aggregation-controller": """
        escalate,patch,read,update rbac clusterroles""",
    "cronjob-controller": """
        read,update batch cronjobs
        create,delete,patch,read,update batch jobs
        update batch cronjobs/status
        update batch cronjobs/finalizers
        delete,list,watch core pods
        events""",
    "daemon-set-controller": """
        read apps,extensions daemonsets
        update apps,extensions daemonsets/status
        update apps,extensions daemonsets/finalizers
        list,watch core nodes
        create,delete,list,patch,watch core pods
        create core pods/binding
        create,delete,patch,read,update apps controllerrevisions
        events""",
    "deployment-controller": """
        read,update apps,extensions deployments
        update apps,extensions deployments/status
        update apps,extensions deployments/finalizers
        create,delete,patch,read,update apps,extensions replicasets
        read,update core pods
        events""",
    "disruption-controller": """
        read apps,extensions deployments
        read apps,extensions replicasets
        read core replicationcontrollers
        read policy poddisruptionbudgets
        read apps statefulsets
        update policy poddisruptionbudgets/status
        patch,update core pods/status
        get * */scale
        events""",
    "endpoint-controller": """
        read core pods,services
        create,delete,read,update core endpoints
        create core endpoints/restricted
        events""",
    "endpointslice-controller": """
        read core nodes,pods,services
        update core services/finalizers
        create,delete,read,update disc endpointslices
        events""",
    "endpointslicemirroring-controller": """
        read core endpoints,services
        update core services/finalizers
        update core endpoints/finalizers
        create,delete,read,update disc endpointslices
        events""",
    "ephemeral-volume-controller": """
        read core pods
        update core pods/finalizers
        create,read core persistentvolumeclaims
        events""",
    "expand-controller": """
        patch,read,update core persistentvolumes
        patch,update core persistentvolumeclaims/status
        read core persistentvolumeclaims
        events
        get core services""",
    "generic-garbage-collector": """
        delete,patch,read,update * *
        events""",
    "horizontal-pod-autoscaler": """
        read autoscaling horizontalpodautoscalers
        update autoscaling horizontalpodautoscalers/status
        get,update * */scale
        list,watch core pods
        list,watch metrics pods
        read custom *
        read external *
        events""",
    "job-controller": """
        patch,read,update batch jobs
        update batch jobs/status
        update batch jobs/finalizers
        create,delete,list,patch,watch core pods
        events""",
    "legacy-service-account-token-cleaner": """
        get core configmaps kube-apiserver-legacy-service-account-token-tracking
        delete,patch core secrets""",
    "namespace-controller": """
        delete,read core namespaces
        update core namespaces/finalize,namespaces/status
        delete,deletecollection,read * *""",
    "node-controller": """
        delete,patch,read,update core nodes
        patch,update core nodes/status
        patch,update core pods/status
        delete,read core pods
        events""",
    "persistent-volume-binder": """
        create,delete,read,update core persistentvolumes
        update core persistentvolumes/status
        read,update core persistentvolumeclaims
        update core persistentvolumeclaims/status
        create,delete,read core pods
        read storage storageclasses
        list,watch core nodes
        events
        watch core events
        get core services""",
    "pod-garbage-collector": """
        delete,list,watch core pods
        read core nodes
        patch core pods/status""",
    "pv-protection-controller": """
        read,update core persistentvolumes
        events""",
    "pvc-protection-controller": """
        read,update core persistentvolumeclaims
        read core pods
        events""",
    "replicaset-controller": """
        read,update apps,extensions replicasets
        update apps,extensions replicasets/status
        update apps,extensions replicasets/finalizers
        create,delete,list,patch,watch core pods
        events""",
    "replication-controller": """
        read,update core replicationcontrollers
        update core replicationcontrollers/status
        update core replicationcontrollers/finalizers
        create,delete,list,patch,watch core pods
        events""",
    "resourcequota-controller": """
        list,watch * *
        update core resourcequotas/status
        events""",
    "root-ca-cert-publisher": """
        create,update core configmaps
        events""",
    "route-controller": """
        list,watch core nodes
        patch core nodes/status
        events""",
    "service-account-controller": """
        create core serviceaccounts
        events""",
    "service-cidrs-controller": """
        patch,read,update net servicecidrs
        patch,update net servicecidrs/finalizers
        patch,update net servicecidrs/status
        read net ipaddresses
        events""",
    "service-controller": """
        read core services
        patch,update core services/status
        list,watch core nodes
        events""",
    "statefulset-controller": """
        list,watch core pods
        read apps statefulsets
        update apps statefulsets/status
        update apps statefulsets/finalizers
        create,delete,get,patch,update core pods
        create,delete,patch,read,update apps controllerrevisions
        create,read core persistentvolumeclaims
        delete,update core persistentvolumeclaims
        update core pods/finalizers
        events""",
    "ttl-after-finished-controller": """
        delete,read batch jobs
        events""",
    "ttl-controller": """
        list,patch,update,watch core nodes
        events""",
    "validatingadmissionpolicy-status-controller": """
        read admission validatingadmissionpolicies
        get,patch,update admission validatingadmissionpolicies/status
        events""",
}
