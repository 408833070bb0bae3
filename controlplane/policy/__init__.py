"""NetworkPolicy: pure functions from policies, pods and namespaces to rules and sets, and an applier for each node."""
