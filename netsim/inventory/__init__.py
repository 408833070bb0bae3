"""What a cluster has in this host, asked of the kernel, and the removal of all of it.

Nothing is found by a name alone and nothing depends on a state file or a daemon: namespaces and links say whose
they are by their ifalias, processes by their environment, their cgroup or the namespace that they are in, mounts
and directories by lying under the cluster's two directories, the rule in the host by its comment.
"""

from netsim.inventory.find import Inventory, Namespace, clusters, find
from netsim.inventory.places import directories_of
from netsim.inventory.remove import Progress, remove

__all__ = ["Inventory", "Namespace", "Progress", "clusters", "directories_of", "find", "remove"]
