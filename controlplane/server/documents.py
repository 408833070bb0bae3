"""What is no resource: discovery, versions, health, metrics, schemas."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Callable

import orjson
from aiohttp import web

from controlplane.api import discovery, openapi
from controlplane.api.openapi_protobuf import MEDIA_TYPES, encode_v2
from controlplane.api.scheme import Scheme
from controlplane.api.version import KUBERNETES
from controlplane.server.aggregation.documents import Lists, add_to_aggregated, add_to_groups, add_to_index, group_of
from controlplane.server.exchange import Exchange
from controlplane.server.metrics import CONTENT_TYPE, Metrics
from controlplane.server.negotiation import JSON
from controlplane.server.registry import Registry

HEALTH = ("healthz", "livez", "readyz")
CHECKS = ("ping", "store")


class Documents:
    """The documents of one server; `address` is the host:port that discovery names."""

    def __init__(self, registry: Registry, address: str, metrics: Metrics) -> None:
        self._registry = registry
        self._address = address
        self._metrics = metrics
        self.extensions: Callable[[], Lists] = dict
        """What extension API servers serve."""

    async def answer(self, exchange: Exchange) -> web.Response | None:
        """The document at the request's path; None when there is none."""
        parts = exchange.request.path.strip("/").split("/")
        match parts:
            case ["version"]:
                return exchange.plain(version())
            case [kind, *check] if kind in HEALTH:
                return self._health(exchange, kind, "/".join(check))
            case ["api" | "apis", *rest]:
                return self._discovery(exchange, parts[0], rest)
            case ["metrics"]:
                return exchange.plain(self._metrics.text().encode(), content_type=CONTENT_TYPE)
            case ["openapi", *rest]:
                return await self._openapi(exchange, rest)
            case [".well-known", "openid-configuration"]:
                return exchange.plain(self._issuer())
            case ["openid", "v1", "jwks"]:
                return exchange.plain(
                    orjson.dumps(self._registry.tokens.key_set()), content_type="application/jwk-set+json"
                )
            case [""]:
                return exchange.plain({"paths": self._paths()})
        return None

    def _discovery(self, exchange: Exchange, root: str, rest: list[str]) -> web.Response | None:
        scheme = self._registry.scheme
        if not rest and exchange.wanted.form == "discovery":
            body = discovery.aggregated(scheme, core=root == "api")
            if root == "apis":
                body = add_to_aggregated(body, self.extensions())
            return exchange.plain(body, content_type=discovery.AGGREGATED_MEDIA_TYPE)
        found = None
        match root, rest:
            case "api", []:
                found = discovery.api_versions(self._address)
            case "api", [wanted]:
                found = discovery.resource_list(scheme, "", wanted)
            case "apis", []:
                found = add_to_groups(discovery.group_list(scheme), self.extensions())
            case "apis", [group]:
                found = group_of(discovery.group(scheme, group), self.extensions(), group)
            case "apis", [group, wanted]:
                found = discovery.resource_list(scheme, group, wanted)
        return exchange.plain(found) if found is not None else None

    async def _openapi(self, exchange: Exchange, rest: list[str]) -> web.Response | None:
        scheme = self._registry.scheme
        match rest:
            case ["v2"]:
                body, content_type = await asyncio.to_thread(_document_v2, scheme, exchange.accepts(MEDIA_TYPES))
                return self._tagged(exchange, body, content_type)
            case ["v3"]:
                index = add_to_index(openapi.index_v3(scheme), self.extensions())
                return self._tagged(exchange, orjson.dumps(index))
            case ["v3", "api", version]:
                found = openapi.document_v3(scheme, "", version)
            case ["v3", "apis", group, version]:
                found = openapi.document_v3(scheme, group, version)
            case _:
                found = None
        return self._tagged(exchange, found) if found is not None else None

    @staticmethod
    def _tagged(exchange: Exchange, body: bytes, content_type: str = JSON) -> web.Response:
        """With an ETag, by which clients ask again; a document named by its hash may be kept for good."""
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        if tag in exchange.request.headers.get("If-None-Match", ""):
            response = web.Response(status=304, headers=exchange.headers())
        else:
            response = exchange.compressed(body, content_type)
        response.headers["ETag"] = tag
        if "hash" in exchange.request.query:
            response.headers["Cache-Control"] = "public, immutable"
        return response

    def _health(self, exchange: Exchange, kind: str, check: str) -> web.Response | None:
        """The store fails from a refused write to the next that succeeds; it is alive all the same, and reads go on."""
        if check and check not in CHECKS:
            return None
        asked = exchange.request.query
        excluded = set(asked.getall("exclude", ()))
        lines, failed = [], ""
        for name in (check,) if check else CHECKS:
            failure = self._registry.store.failure if name == "store" and kind != "livez" else ""
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
            elif failure:
                lines.append(f"[-]{name} failed: {failure}")
                failed = failed or failure
            else:
                lines.append(f"[+]{name} ok")
        unknown = sorted(excluded - set(CHECKS))
        if unknown:
            names = ",".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        lines.append(f"{kind} check {'failed' if failed else 'passed'}")
        if check or not (failed or "verbose" in asked):
            text = f"internal server error: {failed}\n" if failed else "ok"
        else:
            text = "\n".join(lines) + "\n"
        return exchange.plain(text.encode(), 500 if failed else 200, content_type="text/plain")

    def _issuer(self) -> dict[str, object]:
        """What OpenID Connect's discovery says of ServiceAccount tokens."""
        return {
            "issuer": self._registry.tokens.issuer,
            "jwks_uri": f"https://{self._address}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def _paths(self) -> list[str]:
        scheme = self._registry.scheme
        groups = [group for group in scheme.groups() if group]
        versions = [f"/apis/{group}/{version}" for group in groups for version in scheme.versions(group)]
        roots = ["/api", "/api/v1", "/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
        roots += ["/.well-known/openid-configuration", "/openid/v1/jwks"]
        return sorted([*roots, *(f"/apis/{group}" for group in groups), *versions, *(f"/{kind}" for kind in HEALTH)])


def _document_v2(scheme: Scheme, protobuf: bool) -> tuple[bytes, str]:
    """The v2 document and its media type; it takes a tenth of a second."""
    document = openapi.document_v2(scheme)
    return (encode_v2(document), MEDIA_TYPES[0]) if protobuf else (orjson.dumps(document), JSON)


def version() -> dict[str, str]:
    """What `kubectl version` shows of the server."""
    return {
        "major": "1",
        "minor": "37",
        "gitVersion": KUBERNETES,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }
