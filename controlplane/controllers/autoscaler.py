"""HorizontalPodAutoscalers: as many replicas as keep the use of each pod near its target.

    every 15 s: scale target → pods and their metrics → wish of each metric → limits → /scale, status, events

The arithmetic is in `autoscaler_replicas` and `autoscaler_limits`, what a metric asks for in `autoscaler_metrics`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import HORIZONTAL_POD_AUTOSCALER, POD
from controlplane.api.meta import timestamp
from controlplane.api.quantity import milli
from controlplane.api.selectors import compile_labels, format_selector
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.autoscaler_limits import History, Reason, limit, tolerance_of
from controlplane.controllers.autoscaler_metrics import Target, UnknownMetric, Wish, wish_of
from controlplane.controllers.meta import Clock

KIND = HORIZONTAL_POD_AUTOSCALER
PERIOD_SECONDS = 15.0


@dataclass(slots=True)
class _Outcome:
    """What a look came to; written as the status at its end."""

    conditions: dict[str, Reason] = field(default_factory=dict)
    metrics: list[dict[str, Any]] | None = None
    current: int = 0
    desired: int = 0
    scaled: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale target; `selector` is text, "" where it has none."""

    kind: Kind
    name: str
    namespace: str
    replicas: int
    selector: str


class Failure(Exception):
    """A look that came to no number; `reason` is that of the event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class HorizontalPodAutoscalerController:
    """`period` is how often each autoscaler looks, in seconds."""

    def __init__(
        self, client: Client, informers: Informers, *, period: float = PERIOD_SECONDS, clock: Clock = time.time
    ) -> None:
        self._client = client
        self._period = period
        self._clock = clock
        self._autoscalers = informers.of(KIND)
        self._pods = informers.of(POD)
        self._recorder = EventRecorder(client, "horizontal-pod-autoscaler")
        self._histories: dict[ObjectKey, History] = {}
        self._reconciler: Reconciler[ObjectKey] = Reconciler("horizontal-pod-autoscaler", self._reconcile, workers=2)
        self._autoscalers.add_handler(self._changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._autoscalers, self._pods):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="autoscaler-events")
            group.create_task(self._reconciler.run(), name="autoscaler")

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._histories.pop(key_of(old), None)
        elif old is None or old["spec"] != new["spec"]:
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        autoscaler = self._autoscalers.get(key[1], key[0])
        if autoscaler is None:
            return None
        status = autoscaler.get("status") or {}
        outcome = _Outcome(current=status.get("currentReplicas", 0), desired=status.get("desiredReplicas", 0))
        try:
            await self._look(autoscaler, self._histories.setdefault(key, History()), outcome)
        except Failure as failure:
            self._recorder.event(autoscaler, "Warning", failure.reason, str(failure))
        await self._write_status(autoscaler, outcome)
        return self._period

    async def _look(self, autoscaler: Object, history: History, outcome: _Outcome) -> None:
        scale = await self._target(autoscaler, outcome)
        spec = autoscaler["spec"]
        outcome.current = outcome.desired = current = scale.replicas
        history.begin(current, self._clock())
        lowest, highest = spec.get("minReplicas", 1), spec["maxReplicas"]
        if current == 0 and lowest != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            outcome.conditions["ScalingActive"] = ("False", "ScalingDisabled", text)
            return
        if current > highest:
            wanted, reason = highest, "Current number of replicas above Spec.MaxReplicas"
        elif current < lowest:
            wanted, reason = lowest, "Current number of replicas below Spec.MinReplicas"
        else:
            wish = await self._wish(autoscaler, scale, outcome)
            found = limit(wish.replicas, current, spec, history, self._clock())
            wanted, outcome.conditions["AbleToScale"] = found.replicas, found.able
            outcome.conditions["ScalingLimited"] = found.limited
            reason = f"{wish.name} above target" if wish.replicas > current else "All metrics below target"
        if wanted != current:
            await self._rescale(autoscaler, scale, wanted, reason=reason, outcome=outcome)
            history.scaled(current, wanted, self._clock())

    async def _target(self, autoscaler: Object, outcome: _Outcome) -> _Scale:
        reference, namespace = autoscaler["spec"]["scaleTargetRef"], autoscaler["metadata"]["namespace"]
        try:
            kind = await self._kind(reference)
            target = await self._client.get(kind, reference["name"], namespace)
        except (ApiError, LookupError) as error:
            text = f"the HPA controller was unable to get the target's current scale: {_words(error)}"
            outcome.conditions["AbleToScale"] = ("False", "FailedGetScale", text)
            raise Failure("FailedGetScale", _words(error)) from error
        text = "the HPA controller was able to get the target's current scale"
        outcome.conditions["AbleToScale"] = ("True", "SucceededGetScale", text)
        replicas = _at(target, kind.scale.spec_replicas)
        selector = _selector(_at(target, kind.scale.selector) if kind.scale.selector else None)
        return _Scale(kind, reference["name"], namespace, 1 if replicas is None else int(replicas), selector)

    async def _kind(self, reference: Mapping[str, Any]) -> Kind:
        api_version, name = reference.get("apiVersion") or "v1", reference["kind"]
        for kind in await self._client.kinds():
            if (kind.api_version, kind.name) == (api_version, name) and "scale" in kind.subresources:
                return kind
        group = api_version.rpartition("/")[0]
        known = f'no matches for kind "{name}" in group "{group}"'
        raise LookupError(known)

    async def _wish(self, autoscaler: Object, scale: _Scale, outcome: _Outcome) -> Wish:
        """The largest wish; one that fails keeps the others from asking for less than there is."""
        if not scale.selector:
            text = "the HPA target's scale is missing a selector"
            outcome.conditions["ScalingActive"] = ("False", "InvalidSelector", text)
            raise Failure("SelectorRequired", "selector is required")
        spec, namespace = autoscaler["spec"], scale.namespace
        chosen = compile_labels(scale.selector)
        pods = [pod for pod in self._pods.list(namespace) if chosen(pod["metadata"].get("labels") or {})]
        target = Target(scale.replicas, namespace, scale.selector, pods)
        tolerance, wishes, failures = tolerance_of(spec, milli), [], []
        for metric in spec["metrics"]:
            try:
                wishes.append(await wish_of(self._client, metric, target, tolerance, self._clock()))
            except UnknownMetric as error:
                failures.append(error)
                self._recorder.event(autoscaler, "Warning", error.reason, str(error))
        outcome.metrics = [wish.status for wish in wishes]
        best = max(wishes, key=lambda wish: wish.replicas, default=None)
        if best is None or (failures and best.replicas < scale.replicas):
            first = failures[0]
            text = f"the HPA was unable to compute the replica count: {first}"
            outcome.conditions["ScalingActive"] = ("False", first.reason, text)
            counted = f"invalid metrics ({len(failures)} invalid out of {len(spec['metrics'])})"
            message = f"{counted}, first error is: {_about(spec['metrics'], first)}"
            raise Failure("FailedComputeMetricsReplicas", message)
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        outcome.conditions["ScalingActive"] = ("True", "ValidMetricFound", text)
        return best

    async def _rescale(self, autoscaler: Object, scale: _Scale, wanted: int, *, reason: str, outcome: _Outcome) -> None:
        body = {"spec": {"replicas": wanted}}
        try:
            await self._client.patch(scale.kind, scale.name, scale.namespace, body=body, subresource="scale")
        except ApiError as error:
            text = f"the HPA controller was unable to update the target scale: {_words(error)}"
            outcome.conditions["AbleToScale"] = ("False", "FailedUpdateScale", text)
            message = f"New size: {wanted}; reason: {reason}; error: {_words(error)}"
            raise Failure("FailedRescale", message) from error
        outcome.desired, outcome.scaled = wanted, True
        text = f"the HPA controller was able to update the target scale to {wanted}"
        outcome.conditions["AbleToScale"] = ("True", "SucceededRescale", text)
        self._recorder.event(autoscaler, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {reason}")

    async def _write_status(self, autoscaler: Object, outcome: _Outcome) -> None:
        metadata, old = autoscaler["metadata"], autoscaler.get("status") or {}
        now = timestamp(self._clock())
        wanted = {
            **old,
            "observedGeneration": metadata.get("generation", 1),
            "currentReplicas": outcome.current,
            "desiredReplicas": outcome.desired,
            "conditions": _conditions(old.get("conditions") or (), outcome.conditions, now),
        }
        if outcome.metrics is not None:
            wanted["currentMetrics"] = outcome.metrics
        if outcome.scaled:
            wanted["lastScaleTime"] = now
        if wanted == old:
            return
        body = {"metadata": {"uid": metadata["uid"]}, "status": wanted}
        try:
            await self._client.patch(KIND, metadata["name"], metadata["namespace"], body=body, subresource="status")
        except NotFound:
            return


def _conditions(old: Sequence[Mapping[str, Any]], new: Mapping[str, Reason], now: str) -> list[dict[str, Any]]:
    kept = {entry["type"]: dict(entry) for entry in old}
    for type_, (status, reason, message) in new.items():
        before = kept.get(type_, {})
        since = before["lastTransitionTime"] if before.get("status") == status else now
        kept[type_] = {
            "type": type_,
            "status": status,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }
    return list(kept.values())


def _about(metrics: Sequence[Mapping[str, Any]], failure: UnknownMetric) -> str:
    """The failure as the event of the whole computation has it."""
    for metric in metrics:
        source = metric.get("resource") or metric.get("containerResource")
        if source is not None and "ResourceMetric" in failure.reason:
            kind = "container resource" if "containerResource" in metric else "resource"
            return f"failed to get {source['name']} {kind} metric value: {failure}"
    return str(failure)


def _at(obj: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(name)
    return obj


def _selector(found: Any) -> str:
    """The text of a selector in any of its three forms."""
    if isinstance(found, str):
        return found
    if not found:
        return ""
    if "matchLabels" in found or "matchExpressions" in found:
        return format_selector(found)
    return format_selector({"matchLabels": found})


def _words(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, LookupError) else str(error)
