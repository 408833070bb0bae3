"""The roles and bindings that every cluster has, as data: upstream's names and rules, in short lines.

A line is one rule: `VERBS GROUPS RESOURCES [NAMES]`, or `VERBS URLS` where the URLs start with a
slash or are a lone star; commas separate values. `read` and `write` stand for several verbs, the
words of `GROUPS` for API groups, and the line `events` for the right to write events.
"""

from __future__ import annotations

from functools import cache

from controlplane.server.rbac.rules import Rule

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
GROUPS = {
    "core": "",
    "admission": "admissionregistration.k8s.io",
    "authn": "authentication.k8s.io",
    "authz": "authorization.k8s.io",
    "certs": "certificates.k8s.io",
    "coord": "coordination.k8s.io",
    "custom": "custom.metrics.k8s.io",
    "disc": "discovery.k8s.io",
    "events": "events.k8s.io",
    "external": "external.metrics.k8s.io",
    "metrics": "metrics.k8s.io",
    "net": "networking.k8s.io",
    "node": "node.k8s.io",
    "rbac": "rbac.authorization.k8s.io",
    "storage": "storage.k8s.io",
}

AGGREGATED = {"admin": "", "edit": "admin", "view": "edit"}
"""Each collects the roles labelled for it, and is itself labelled for the next."""

SOURCES = {"system:aggregate-to-admin": "admin", "system:aggregate-to-edit": "edit", "system:aggregate-to-view": "view"}

CLUSTER_ROLES = {
    "cluster-admin": """
        * * *
        * *""",
    "system:aggregate-to-admin": """
        create authz localsubjectaccessreviews
        write,read rbac rolebindings,roles""",
    "system:aggregate-to-edit": """
        read core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
        impersonate core serviceaccounts
        write core pods,pods/attach,pods/exec,pods/portforward,pods/proxy
        create core pods/eviction
        write core configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,\
secrets,serviceaccounts,services,services/proxy
        create core serviceaccounts/token
        write apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,\
statefulsets,statefulsets/scale
        write autoscaling horizontalpodautoscalers
        write batch cronjobs,jobs
        write extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,\
replicasets,replicasets/scale,replicationcontrollers/scale
        write policy poddisruptionbudgets
        write net ingresses,networkpolicies
        write,read coord leases""",
    "system:aggregate-to-view": """
        read core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,\
replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
        read core bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,\
resourcequotas,resourcequotas/status
        read core namespaces
        read disc endpointslices
        read apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,\
replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status
        read autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status
        read batch cronjobs,cronjobs/status,jobs,jobs/status
        read extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,\
ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale
        read policy poddisruptionbudgets,poddisruptionbudgets/status
        read net ingresses,ingresses/status,networkpolicies""",
    "system:auth-delegator": """
        create authn tokenreviews
        create authz subjectaccessreviews""",
    "system:basic-user": """
        create authz selfsubjectaccessreviews,selfsubjectrulesreviews
        create authn selfsubjectreviews""",
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": """
        create certs certificatesigningrequests/nodeclient""",
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": """
        create certs certificatesigningrequests/selfnodeclient""",
    "system:certificates.k8s.io:kube-apiserver-client-approver": """
        approve certs signers kubernetes.io/kube-apiserver-client""",
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": """
        approve certs signers kubernetes.io/kube-apiserver-client-kubelet""",
    "system:certificates.k8s.io:kubelet-serving-approver": """
        approve certs signers kubernetes.io/kubelet-serving""",
    "system:certificates.k8s.io:legacy-unknown-approver": """
        approve certs signers kubernetes.io/legacy-unknown""",
    "system:discovery": """
        get /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/""",
    "system:heapster": """
        read core events,namespaces,nodes,pods
        read extensions deployments""",
    "system:kube-aggregator": """
        read core endpoints,services""",
    "system:kube-controller-manager": """
        events
        create coord leases
        get,update coord leases kube-controller-manager
        create core secrets,serviceaccounts
        delete core secrets
        get core configmaps,namespaces,secrets,serviceaccounts
        update core secrets,serviceaccounts
        create authn tokenreviews
        create authz subjectaccessreviews
        list,watch * *
        create core serviceaccounts/token""",
    "system:kube-dns": """
        list,watch core endpoints,services""",
    "system:kube-scheduler": """
        events
        create coord leases
        get,update coord leases kube-scheduler
        read core nodes
        delete,read core pods
        create core bindings,pods/binding
        patch,update core pods/status
        read core replicationcontrollers,services
        read apps,extensions replicasets
        read apps statefulsets
        read policy poddisruptionbudgets
        read core persistentvolumeclaims,persistentvolumes
        create authn tokenreviews
        create authz subjectaccessreviews
        read storage csinodes
        read core namespaces
        read storage csidrivers
        read storage csistoragecapacities""",
    "system:kubelet-api-admin": """
        read core nodes
        proxy core nodes
        * core nodes/log,nodes/metrics,nodes/proxy,nodes/stats""",
    "system:monitoring": """
        get /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*""",
    "system:node": """
        create authn tokenreviews
        create authz localsubjectaccessreviews,subjectaccessreviews
        read core services
        create,read core nodes
        patch,update core nodes/status
        patch,update core nodes
        create,patch,update core events
        read core pods
        create,delete core pods
        patch,update core pods/status
        create core pods/eviction
        read core configmaps,secrets
        get core persistentvolumeclaims,persistentvolumes
        get core endpoints
        create,read certs certificatesigningrequests
        create,delete,get,patch,update coord leases
        get storage volumeattachments
        create core serviceaccounts/token
        get,patch,update core persistentvolumeclaims/status
        read storage csidrivers
        create,delete,get,patch,update storage csinodes
        read node runtimeclasses""",
    "system:node-bootstrapper": """
        create,read certs certificatesigningrequests""",
    "system:node-problem-detector": """
        get core nodes
        patch core nodes/status
        events""",
    "system:node-proxier": """
        list,watch core endpoints,services
        read core nodes
        events
        list,watch disc endpointslices""",
    "system:persistent-volume-provisioner": """
        create,delete,read core persistentvolumes
        read,update core persistentvolumeclaims
        read storage storageclasses
        watch core events
        events""",
    "system:public-info-viewer": """
        get /healthz,/livez,/readyz,/version,/version/""",
    "system:service-account-issuer-discovery": """
        get /.well-known/openid-configuration,/openid/v1/jwks""",
    "system:volume-scheduler": """
        patch,read,update core persistentvolumes
        read storage storageclasses
        patch,read,update core persistentvolumeclaims""",
}

CLUSTER_BINDINGS = {
    "cluster-admin": "Group/system:masters",
    "system:basic-user": "Group/system:authenticated",
    "system:discovery": "Group/system:authenticated",
    "system:kube-controller-manager": "User/system:kube-controller-manager",
    "system:kube-dns": "ServiceAccount/kube-dns",
    "system:kube-scheduler": "User/system:kube-scheduler",
    "system:monitoring": "Group/system:monitoring",
    "system:node": "",
    "system:node-proxier": "User/system:kube-proxy",
    "system:public-info-viewer": "Group/system:authenticated Group/system:unauthenticated",
    "system:service-account-issuer-discovery": "Group/system:serviceaccounts",
    "system:volume-scheduler": "User/system:kube-scheduler",
}
"""Who has the ClusterRole of the same name; service accounts are those of kube-system."""

ROLES = {
    ("kube-system", "extension-apiserver-authentication-reader"): """
        read core configmaps extension-apiserver-authentication""",
    ("kube-system", "system:controller:bootstrap-signer"): """
        read core secrets""",
    ("kube-system", "system:controller:token-cleaner"): """
        delete,read core secrets
        events""",
    ("kube-system", "system::leader-locking-kube-controller-manager"): """
        watch core configmaps
        get,update core configmaps kube-controller-manager
        create,read,update coord leases""",
    ("kube-system", "system::leader-locking-kube-scheduler"): """
        watch core configmaps
        get,update core configmaps kube-scheduler""",
    ("kube-public", "system:controller:bootstrap-signer"): """
        read core configmaps
        update core configmaps cluster-info
        events""",
}

BINDINGS = {
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        "User/system:kube-controller-manager User/system:kube-scheduler",
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        "User/system:kube-controller-manager ServiceAccount/kube-controller-manager",
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        "User/system:kube-scheduler ServiceAccount/kube-scheduler",
    ),
    ("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        "ServiceAccount/bootstrap-signer",
    ),
    ("kube-system", "system:controller:token-cleaner"): (
        "system:controller:token-cleaner",
        "ServiceAccount/token-cleaner",
    ),
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        "ServiceAccount/bootstrap-signer",
    ),
}


def rules(lines: str) -> list[Rule]:
    """The rules that `lines` stand for."""
    return [_rule(line.split()) for line in lines.split("\n") if line.strip()]


@cache
def node_rules() -> tuple[Rule, ...]:
    """What nodes may do where nothing depends on which node it is."""
    return tuple(rules(CLUSTER_ROLES["system:node"]))


def _rule(words: list[str]) -> Rule:
    if words == ["events"]:
        return Rule(("create", "patch", "update"), ("", GROUPS["events"]), ("events",))
    verbs: list[str] = []
    for word in words[0].split(","):
        verbs += READ if word == "read" else WRITE if word == "write" else (word,)
    if len(words) == 2:
        return Rule(tuple(sorted(verbs)), urls=tuple(words[1].split(",")))
    groups = tuple(GROUPS.get(word, word) for word in words[1].split(","))
    return Rule(tuple(sorted(verbs)), groups, tuple(words[2].split(",")), tuple(words[3:]))
