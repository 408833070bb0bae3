"""The Container Network Interface: how a pod is attached to its node's network.

A runtime as libcni is one, and plugins that are real executables of the spec 1.1.0. Our own plugins are called in
process, which spares a process a pod; any others are executed. Knows containers and namespaces, no Kubernetes.
"""
