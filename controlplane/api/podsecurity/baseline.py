"""The baseline level: no known way from a pod to its node."""

from __future__ import annotations

import json

from controlplane.api.podsecurity.checks import (
    Check,
    Fields,
    Violation,
    containers,
    context,
    failing,
    named,
    plural,
    quoted,
)

CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
SELINUX_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"))
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe")


def apparmor_profile(metadata: Fields, spec: Fields) -> Violation | None:
    """Profiles may be the runtime's or the node's, not none."""

    def unconfined(owner: Fields) -> bool:
        return bool(context(owner).get("appArmorProfile", {}).get("type") == "Unconfined")

    setters = ["pod"] if unconfined(spec) else []
    bad = failing(spec, unconfined)
    setters += [named(bad)] if bad else []
    values = ["Unconfined"] if setters else []
    notes = [
        f"{key}={json.dumps(value)}"
        for key, value in sorted(metadata.get("annotations", {}).items())
        if key.startswith(APPARMOR_ANNOTATION)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    ]
    if notes:
        setters.append(plural("annotation", len(notes)))
        values += notes
    if not setters:
        return None
    shown = ", ".join(json.dumps(value) for value in values)
    detail = f"{' and '.join(setters)} must not set AppArmor profile type to {shown}"
    return Violation(plural("forbidden AppArmor profile", len(values)), detail)


def capabilities(_metadata: Fields, spec: Fields) -> Violation | None:
    """No capabilities beyond those that runtimes give."""
    bad: list[str] = []
    extra: set[str] = set()
    for container in containers(spec):
        more = set(context(container).get("capabilities", {}).get("add", ())) - CAPABILITIES
        if more:
            bad.append(container.get("name", ""))
            extra |= more
    if not bad:
        return None
    detail = f"{named(bad)} must not include {quoted(sorted(extra))} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def host_namespaces(_metadata: Fields, spec: Fields) -> Violation | None:
    """No namespaces of the node."""
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def host_path_volumes(_metadata: Fields, spec: Fields) -> Violation | None:
    """No directories of the node."""
    found = [str(one.get("name", "")) for one in spec.get("volumes", ()) if "hostPath" in one]
    return Violation("hostPath volumes", f"{plural('volume', len(found))} {quoted(found)}") if found else None


def host_ports(_metadata: Fields, spec: Fields) -> Violation | None:
    """No ports of the node."""
    bad: list[str] = []
    ports: set[str] = set()
    for container in containers(spec):
        taken = {str(port["hostPort"]) for port in container.get("ports", ()) if port.get("hostPort")}
        if taken:
            bad.append(container.get("name", ""))
            ports |= taken
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    return Violation("hostPort", f"{named(bad)} {verb} {plural('hostPort', len(ports))} {', '.join(sorted(ports))}")


def host_probes(_metadata: Fields, spec: Fields) -> Violation | None:
    """Probes and hooks ask the pod itself, no other host."""
    bad: list[str] = []
    hosts: set[str] = set()
    for container in containers(spec):
        handlers = [container.get(name, {}) for name in HANDLERS] + list(container.get("lifecycle", {}).values())
        found = {
            one[kind]["host"]
            for one in handlers
            if isinstance(one, dict)
            for kind in ("httpGet", "tcpSocket")
            if one.get(kind, {}).get("host")
        }
        if found:
            bad.append(container.get("name", ""))
            hosts |= found
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    detail = f"{named(bad)} {verb} probe or lifecycle {plural('host', len(hosts))} {quoted(sorted(hosts))}"
    return Violation("probe or lifecycle host", detail)


def privileged(_metadata: Fields, spec: Fields) -> Violation | None:
    """No privileged containers."""
    bad = failing(spec, lambda one: bool(context(one).get("privileged")))
    return Violation("privileged", f"{named(bad)} must not set securityContext.privileged=true") if bad else None


def proc_mount(_metadata: Fields, spec: Fields) -> Violation | None:
    """/proc is masked, unless the pod has a user namespace of its own."""
    if spec.get("hostUsers") is False:
        return None
    bad = failing(spec, lambda one: context(one).get("procMount", "Default") != "Default")
    kinds = sorted({str(context(one)["procMount"]) for one in containers(spec) if one.get("name", "") in bad})
    detail = f"{named(bad)} must not set securityContext.procMount to {quoted(kinds)}"
    return Violation("procMount", detail) if bad else None


def selinux_options(_metadata: Fields, spec: Fields) -> Violation | None:
    """SELinux types of containers only, no user and no role."""
    setters: list[str] = []
    types: set[str] = set()
    user = role = False

    def wrong(owner: Fields) -> bool:
        nonlocal user, role
        options = context(owner).get("seLinuxOptions", {})
        bad_type = options.get("type", "") not in SELINUX_TYPES
        if bad_type:
            types.add(options["type"])
        user, role = user or bool(options.get("user")), role or bool(options.get("role"))
        return bad_type or bool(options.get("user")) or bool(options.get("role"))

    if wrong(spec):
        setters.append("pod")
    bad = failing(spec, wrong)
    if bad:
        setters.append(named(bad))
    if not setters:
        return None
    data = [f"{plural('type', len(types))} {quoted(sorted(types))}"] if types else []
    data += ["user may not be set"] if user else []
    data += ["role may not be set"] if role else []
    detail = f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"
    return Violation("seLinuxOptions", detail)


def seccomp_profile(_metadata: Fields, spec: Fields) -> Violation | None:
    """Profiles may be the runtime's or the node's, not none."""

    def unconfined(owner: Fields) -> bool:
        return bool(context(owner).get("seccompProfile", {}).get("type") == "Unconfined")

    setters = ["pod"] if unconfined(spec) else []
    bad = failing(spec, unconfined)
    setters += [named(bad)] if bad else []
    if not setters:
        return None
    detail = f'{" and ".join(setters)} must not set securityContext.seccompProfile.type to "Unconfined"'
    return Violation("seccompProfile", detail)


def sysctls(_metadata: Fields, spec: Fields) -> Violation | None:
    """Only sysctls that stay within the pod."""
    found = [str(one.get("name", "")) for one in context(spec).get("sysctls", ()) if one.get("name") not in SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(found)) if found else None


def windows_host_process(_metadata: Fields, spec: Fields) -> Violation | None:
    """No processes of a Windows node."""

    def is_host(owner: Fields) -> bool:
        return bool(context(owner).get("windowsOptions", {}).get("hostProcess"))

    setters = ["pod"] if is_host(spec) else []
    bad = failing(spec, is_host)
    setters += [named(bad)] if bad else []
    detail = f"{' and '.join(setters)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail) if setters else None


CHECKS: tuple[Check, ...] = (
    apparmor_profile,
    capabilities,
    host_namespaces,
    host_path_volumes,
    host_ports,
    host_probes,
    privileged,
    proc_mount,
    selinux_options,
    seccomp_profile,
    sysctls,
    windows_host_process,
)
"""By upstream's names of the checks, in which order they are reported."""
