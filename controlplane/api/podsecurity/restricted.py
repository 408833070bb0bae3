"""The restricted level: what hardened pods do, beyond what the baseline forbids."""

from __future__ import annotations

from controlplane.api.podsecurity.checks import (
    Check,
    Fields,
    Violation,
    containers,
    context,
    failing,
    linux,
    named,
    plural,
    quoted,
)

ADDABLE = frozenset(("NET_BIND_SERVICE",))
VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
PROFILES = ("RuntimeDefault", "Localhost")


def privilege_escalation(_metadata: Fields, spec: Fields) -> Violation | None:
    """No process gets more than its parent had."""
    if not linux(spec):
        return None
    bad = failing(spec, lambda one: context(one).get("allowPrivilegeEscalation") is not False)
    detail = f"{named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail) if bad else None


def capabilities(_metadata: Fields, spec: Fields) -> Violation | None:
    """All capabilities are dropped; low ports may be added."""
    if not linux(spec):
        return None
    keeping = failing(spec, lambda one: "ALL" not in context(one).get("capabilities", {}).get("drop", ()))
    adding: list[str] = []
    added: set[str] = set()
    for container in containers(spec):
        more = set(context(container).get("capabilities", {}).get("add", ())) - ADDABLE
        if more:
            adding.append(container.get("name", ""))
            added |= more
    details = [f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        details.append(f"{named(adding)} must not include {quoted(sorted(added))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def volumes(_metadata: Fields, spec: Fields) -> Violation | None:
    """No volumes of the node or of the network, but by way of a claim."""
    bad: list[str] = []
    types: set[str] = set()
    for volume in spec.get("volumes", ()):
        source = next((name for name in volume if name != "name"), "")
        if source and source not in VOLUMES:
            bad.append(volume.get("name", ""))
            types.add(source)
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    what = f"restricted volume {plural('type', len(types))} {quoted(sorted(types))}"
    return Violation("restricted volume types", f"{plural('volume', len(bad))} {quoted(bad)} {verb} {what}")


def non_root(_metadata: Fields, spec: Fields) -> Violation | None:
    """No container runs as root: it says so, or its pod does."""
    if spec.get("hostUsers") is False:
        return None
    explicit = failing(spec, lambda one: context(one).get("runAsNonRoot") is False)
    silent = failing(spec, lambda one: context(one).get("runAsNonRoot") is None)
    pod = context(spec).get("runAsNonRoot")
    details = ["pod must not set securityContext.runAsNonRoot=false"] if pod is False else []
    if explicit:
        details.append(f"{named(explicit)} must not set securityContext.runAsNonRoot=false")
    if not details and pod is None and silent:
        details.append(f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")
    return Violation("runAsNonRoot != true", "; ".join(details)) if details else None


def non_root_user(_metadata: Fields, spec: Fields) -> Violation | None:
    """Nobody asks for user 0."""
    if spec.get("hostUsers") is False:
        return None
    setters = ["pod"] if context(spec).get("runAsUser") == 0 else []
    bad = failing(spec, lambda one: context(one).get("runAsUser") == 0)
    setters += [named(bad)] if bad else []
    return Violation("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


def seccomp_profile(_metadata: Fields, spec: Fields) -> Violation | None:
    """Every container has a profile, its own or its pod's."""
    if not linux(spec):
        return None

    def profile(owner: Fields) -> str:
        return str(context(owner).get("seccompProfile", {}).get("type", ""))

    setters = ["pod"] if profile(spec) not in ("", *PROFILES) else []
    explicit = failing(spec, lambda one: profile(one) not in ("", *PROFILES))
    setters += [named(explicit)] if explicit else []
    details = []
    if setters:
        details.append(f'{" and ".join(setters)} must not set securityContext.seccompProfile.type to "Unconfined"')
    silent = [] if profile(spec) in PROFILES else failing(spec, lambda one: not profile(one))
    if silent:
        wanted = f'must set securityContext.seccompProfile.type to "{PROFILES[0]}" or "{PROFILES[1]}"'
        details.append(f"pod or {named(silent)} {wanted}")
    return Violation("seccompProfile", "; ".join(details)) if details else None


CHECKS: tuple[Check, ...] = (
    privilege_escalation,
    capabilities,
    volumes,
    non_root,
    non_root_user,
    seccomp_profile,
)
"""By upstream's names of the checks, in which order they are reported."""
