"""The policies and pods of the cluster as the appliers of one process share them.

Informers of policies, pods and namespaces feed it. While there is no policy nothing is looked at. Which pods a
selection takes is computed once and then kept up to date pod by pod, so a pod's change costs one look at each
selection, not one at each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from controlplane.api.kinds import NAMESPACE, NETWORK_POLICY, NODE, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.policy.model import (
    Direction,
    NamedPort,
    Pod,
    Pods,
    Policy,
    PolicyKey,
    Selection,
    first_ipv4,
    is_same_pod,
    read_pod,
    read_policy,
)

Listener = Callable[[], None]
_BOTH: tuple[Direction, ...] = ("ingress", "egress")


class PolicyTable:
    """What the appliers know of the cluster; one for all that share `informers`.

    `fixtures` are addresses outside of any pod that policies may select as if they were pods, such as the DNS.
    """

    def __init__(self, informers: Informers, fixtures: Sequence[Pod] = ()) -> None:
        self.version = 0
        """Grows with every change that may concern a rule."""
        self._policies = informers.of(NETWORK_POLICY)
        self._objects = informers.of(POD)
        self._namespaces = informers.of(NAMESPACE)
        self._nodes = informers.of(NODE)
        self._fixtures = {pod.uid: pod for pod in fixtures}
        self._read: dict[PolicyKey, Policy] = {}
        self._pods: dict[str, Pod] = {}
        self._selections: dict[Selection, dict[str, Pod]] = {}
        self._selected: dict[str, tuple[Policy, ...]] = {}
        self._noted: dict[str, str] = {}
        self._listeners: list[Listener] = []
        self._policies.add_handler(self._policy_changed)
        self._namespaces.add_handler(self._namespace_changed)
        self._objects.add_handler(self._pod_changed)

    def listen(self, listener: Listener) -> None:
        """`listener` is called whenever rules may have to change."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    async def wait_synced(self) -> None:
        """Returns when policies, namespaces and pods have been listed."""
        for informer in (self._policies, self._namespaces, self._objects):
            await informer.wait_synced()

    def note(self, obj: Object, addresses: Sequence[str]) -> bool:
        """Takes in that a pod has these addresses, before its status says so; whether any policy selects the pod.

        One that is not there any more is left out: nothing would say again that it went.
        """
        found = self._objects.get(obj["metadata"]["name"], obj["metadata"]["namespace"])
        if found is None or not is_same_pod(found, obj):
            return False
        uid = found["metadata"]["uid"]
        self._noted[uid] = first_ipv4(addresses)
        if not self._read:
            return False
        self._take_in(uid, read_pod(found, self._noted[uid]))
        return uid in self._pods and bool(self.policies(self._pods[uid]))

    def pods(self, node: str) -> list[tuple[Pod, tuple[Policy, ...]]]:
        """The pods of a node that policies select, each with these in the order of their names."""
        found = ((pod, self.policies(pod)) for pod in self._pods.values() if pod.node == node)
        return [(pod, policies) for pod, policies in found if policies]

    def policies(self, pod: Pod) -> tuple[Policy, ...]:
        """The policies that select a pod, in the order of their names."""
        found = self._selected.get(pod.uid)
        if found is None:
            found = self._selected[pod.uid] = self._selecting(pod)
        return found

    def members(self, selection: Selection) -> Mapping[str, Pod]:
        """The pods of the cluster that a selection takes, by uid."""
        found = self._selections.get(selection)
        if found is None:
            found = {uid: pod for uid, pod in self._everybody().items() if self._takes(selection, pod)}
            self._selections[selection] = found
        return found

    def name_of(self, address: str) -> str:
        """Whose address it is: a pod, as "namespace/name", or a node, as "node/name"; "" if nobody's."""
        for pod in self._everybody().values():
            if pod.address == address:
                return pod.text
        for node in self._nodes.list():
            if any(each["address"] == address for each in (node.get("status") or {}).get("addresses") or ()):
                return f"node/{node['metadata']['name']}"
        return ""

    def _selecting(self, pod: Pod) -> tuple[Policy, ...]:
        mine = (each for each in self._read.values() if each.namespace == pod.namespace and each.selects(pod.labels))
        return tuple(sorted(mine, key=lambda policy: policy.key))

    def _everybody(self) -> dict[str, Pod]:
        return {**self._fixtures, **self._pods}

    def _takes(self, selection: Selection, pod: Pod) -> bool:
        return selection.matches(pod, self._labels(pod.namespace))

    def _labels(self, namespace: str) -> Mapping[str, str]:
        found = self._namespaces.get(namespace)
        return (found["metadata"].get("labels") or {}) if found is not None else {}

    def _policy_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        before = self._read.get(key)
        if new is None:
            self._read.pop(key, None)
        else:
            self._read[key] = read_policy(new)
            if self._read[key] == before:
                return
        if len(self._read) == 1 and before is None:
            self._look_at_pods()
        elif not self._read:
            self._pods.clear()
        self._selected.clear()
        wanted = _selections_of(self._read.values())
        self._selections = {each: pods for each, pods in self._selections.items() if each in wanted}
        self._changed()

    def _look_at_pods(self) -> None:
        """The first policy has come: from now on pods count."""
        read = (read_pod(obj, self._noted.get(obj["metadata"]["uid"], "")) for obj in self._objects.list())
        self._pods = {pod.uid: pod for pod in read if pod is not None}

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if not self._read or (old and new and old["metadata"].get("labels") == new["metadata"].get("labels")):
            return
        by_label = [each for each in self._selections if isinstance(each, Pods) and not each.namespace]
        for selection in by_label:
            del self._selections[selection]
        if by_label:
            self._changed()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._noted.pop(old["metadata"]["uid"], None)
            if self._read:
                self._take_in(old["metadata"]["uid"], None)
        elif self._read:
            uid = new["metadata"]["uid"]
            self._take_in(uid, read_pod(new, self._noted.get(uid, "")))

    def _take_in(self, uid: str, pod: Pod | None) -> None:
        before = self._pods.get(uid)
        if pod == before:
            return
        concerned = any(each is not None and self._selecting(each) for each in (before, pod))
        self._selected.pop(uid, None)
        if pod is None:
            del self._pods[uid]
        else:
            self._pods[uid] = pod
        for selection, members in self._selections.items():
            if pod is not None and self._takes(selection, pod):
                members[uid] = pod
                concerned = True
            elif members.pop(uid, None) is not None:
                concerned = True
        if concerned:
            self._changed()

    def _changed(self) -> None:
        self.version += 1
        for listener in self._listeners:
            listener()


def _selections_of(policies: Iterable[Policy]) -> set[Selection]:
    """Every selection that a rule of the policies names."""
    found: set[Selection] = set()
    for policy in policies:
        for direction in _BOTH:
            for rule in policy.rules(direction) or ():
                found |= {peer for peer in rule.peers or () if isinstance(peer, Pods)}
                found |= {NamedPort(port.protocol, port.name) for port in rule.ports or () if port.name}
    return found
