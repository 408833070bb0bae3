"""Role-based access control: who may do what, as the stored roles and bindings say.

    rules.py        one rule: what it allows, what it covers, how it is printed
    index.py        the bindings by subject and the rules by role, kept current
    nodes.py        what a node may touch: itself and what its own pods need
    authorizer.py   the decision: masters, nodes, then roles
    escalation.py   nobody grants what he does not hold
    aggregation.py  ClusterRoles that are filled from others by label
    defaults.py     the roles and bindings of a new cluster, as data
    bootstrap.py    puts those in place, and mends them, at every start

Everything reads the store's memory; nothing here talks HTTP. Wording follows upstream's v1.37.
"""
