"""nodes/NAME/proxy without a port: what a kubelet answers on its own port, as far as this project has it.

The agents are not HTTP servers. What their pods are, and their logs, the API server knows; health is that an agent
is there.
"""

from __future__ import annotations

from aiohttp import web

from controlplane.api.errors import InternalError, MethodNotAllowed
from controlplane.api.kinds import POD
from controlplane.server.exchange import Exchange
from controlplane.server.pod_streams import PodStreams
from controlplane.server.registry import Registry
from controlplane.server.requests import ListOptions
from controlplane.server.streams import StreamDirectory


class Kubelet:
    """The kubelets of all nodes."""

    def __init__(self, registry: Registry, streams: StreamDirectory, pod_streams: PodStreams) -> None:
        self._registry = registry
        self._streams = streams
        self._pod_streams = pod_streams

    async def answer(self, exchange: Exchange, node: str, path: str) -> web.StreamResponse:
        """The answer of one node's; what it does not serve is a 404 of plain text, as a kubelet's is."""
        if exchange.request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        match path.strip("/").split("/"):
            case ["healthz", *_]:
                self._streams.for_node(node)
                return exchange.plain(b"ok", content_type="text/plain")
            case ["pods" | "runningpods"]:
                return exchange.plain(self._pods(node))
            case ["containerLogs", namespace, name, container]:
                return await self._logs(exchange, node, namespace, name, container)
        return exchange.plain(b"404 page not found\n", 404, content_type="text/plain")

    def _pods(self, node: str) -> dict[str, object]:
        page = self._registry.list(POD, "", ListOptions(field_selector=f"spec.nodeName={node}"))
        items = [one.document for one in page.revisions]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}

    async def _logs(
        self, exchange: Exchange, node: str, namespace: str, name: str, container: str
    ) -> web.StreamResponse:
        pod = self._registry.get(POD, name, namespace).document
        if pod["spec"].get("nodeName") != node:
            raise InternalError(f'pod "{name}" does not exist on node "{node}"')
        return await self._pod_streams.log(exchange, pod, container)
