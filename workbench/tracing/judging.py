"""How it ended, and why: from the last thing that was heard of the packet."""

from __future__ import annotations

from netsim.faults import TABLE_PREFIX
from workbench.places import AddressBook
from workbench.tracing.ends import Source, Target, ports_of
from workbench.tracing.evidence import Evidence
from workbench.tracing.further import link_down, nobody_there, too_small
from workbench.tracing.story import Step, Story, Visit

_TOO_BIG = (3, 4)
_PORT_UNREACHABLE = (3, 3)
_UNKNOWN = ("no-route", "lost", "no-answer", "not-listening")
"""How a packet ends for which a Service has no rule."""


def judge(story: Story, source: Source, target: Target, heard: Evidence, book: AddressBook) -> None:
    """Fills in result, reason and where."""
    result, reason, where = _judged(story, source, target, heard, book)
    if result in _UNKNOWN and _lacks_port(target, heard.probe.protocol):
        assert target.selection.service is not None
        protocol, ports = heard.probe.protocol, ports_of(target.selection.service)
        what = "is there for its ports only" if protocol == "icmp" else f"has no {protocol} port {target.port}"
        result, reason = "no-port", f"{target.name} {what}; its ports: {ports}; {reason}"
    story.result, story.reason, story.where = result, reason, where


def _lacks_port(target: Target, protocol: str) -> bool:
    """Whether the address is one of a Service that does not take this there: no rule translates it."""
    service = target.selection.service
    if service is None or service["spec"].get("clusterIP") in (None, "", "None"):
        return False
    ports = service["spec"].get("ports") or ()
    return all(
        target.port not in (each["port"], each.get("nodePort")) or each.get("protocol", "TCP").lower() != protocol
        for each in ports
    )


def _judged(story: Story, source: Source, target: Target, heard: Evidence, book: AddressBook) -> tuple[str, str, str]:
    outcome = heard.outcome
    stopped = _stopped(story)
    to_itself = heard.sender[0] == target.address
    if outcome.result == "answered":
        elsewhere = (
            f"it did not leave {source.name}" if to_itself else "no link of the cluster saw it: it went elsewhere"
        )
        seen = "" if story.legs else f"; {elsewhere}"
        return "delivered", outcome.reason + seen, story.legs[0].visits[-1].place if story.legs else ""
    if stopped is not None:
        return _by_rule(*stopped)
    if outcome.result == "unsent" and outcome.mtu:
        return "mtu", f"it is too big for {source.name}, whose route takes {outcome.mtu} bytes", source.name
    if to_itself and (outcome.result == "refused" or outcome.icmp == _PORT_UNREACHABLE):
        return "not-listening", f"nobody listens on port {target.port} at {source.name} itself", source.name
    if not story.legs:
        return _never_left(story, source, target, heard)
    last = story.legs[0].visits[-1]
    if outcome.icmp == _TOO_BIG:
        teller = book.name_of(outcome.told_by)
        return (
            "mtu",
            f"it is too big and may not be taken apart: {teller} says that {outcome.mtu} bytes fit",
            last.place,
        )
    if (refusing := _refused_outside(last, heard)) is not None:
        said = (
            f"{book.name_of(refusing)} refuses it at port {_port(last)}; it is behind {last.place}, {_last_link(last)}"
        )
        return "not-listening", said, last.place
    if outcome.result == "refused" or (outcome.icmp == _PORT_UNREACHABLE and _arrived(last)):
        return (
            "not-listening",
            f"{last.place} got it, and nobody listens on port {_port(last)} there",
            last.place,
        )
    unrouted = next((step for step in last.steps if step.kind == "route" and "error" in step.data), None)
    if unrouted is not None:
        return "no-route", f"{last.place} has {unrouted.text}", last.place
    if outcome.icmp is not None:
        teller = book.name_of(outcome.told_by)
        return "no-route", f"{teller} says: {outcome.reason.lower()}", teller
    if len(story.legs) > 1:
        back = story.legs[1].visits[-1]
        return "lost", f"the answer was last seen at {back.place} and did not come back to {source.name}", back.place
    return _silent(story, source, target, heard)


def _refused_outside(last: Visit, heard: Evidence) -> str | None:
    """The address that refuses it, where that is none of the cluster's: the packet left by the last link seen."""
    links = [step for step in last.steps if step.kind in ("in", "out")]
    if not links or links[-1].kind != "out":
        return None
    destination, outcome = str(links[-1].data["destination"]), heard.outcome
    told = outcome.icmp == _PORT_UNREACHABLE and outcome.told_by == destination
    return destination if outcome.result == "refused" or told else None


def _never_left(story: Story, source: Source, target: Target, heard: Evidence) -> tuple[str, str, str]:
    """No link has seen it."""
    silent = heard.outcome.result == "silence"
    if silent and (down := link_down(story, source, target, heard)) is not None:
        return "link-down", *down
    if silent and (nobody := nobody_there(source.netns, target.address)):
        return "no-neighbour", nobody, source.name
    return "no-route", f"{source.name} could not send it: {heard.outcome.reason}", source.name


def _silent(story: Story, source: Source, target: Target, heard: Evidence) -> tuple[str, str, str]:
    """Nothing came back, and no rule is to blame."""
    last = story.legs[0].visits[-1]
    if (down := link_down(story, source, target, heard)) is not None:
        return "link-down", *down
    links = [step for step in last.steps if step.kind in ("in", "out")]
    if links and links[-1].kind == "out":
        if (small := too_small(links[-1], heard)) is not None:
            return "mtu", *small
    elif links and (nobody := nobody_there(heard.namespaces[last.place], links[-1].data["destination"])):
        return "no-neighbour", nobody, last.place
    if _arrived(last):
        return "no-answer", f"{last.place} got it and did not answer: {heard.outcome.reason}", last.place
    return "lost", f"it was last seen at {last.place}, {_last_link(last)}, and nowhere after that", last.place


def _stopped(story: Story) -> tuple[Visit, Step] | None:
    """The rule at which a packet ended, of the probe or of what came back."""
    for leg in story.legs:
        for visit in leg.visits:
            for step in visit.steps:
                if step.data.get("verdict") == "drop":
                    return visit, step
    return None


def _by_rule(visit: Visit, step: Step) -> tuple[str, str, str]:
    data, rule = step.data, str(step.data.get("rule", ""))
    if data.get("policies"):
        return "policy", f"NetworkPolicy {', '.join(data['policies'])} does not allow it", visit.place
    if "no endpoints" in rule:
        more = str(data.get("reason", "")).removeprefix("the Service has no endpoint: ")
        return "no-endpoints", f"Service {data.get('service')} has no endpoint: {more}", visit.place
    if data["table"].startswith(TABLE_PREFIX):
        # What a rule of a fault is for, its comment says: fault NAME: TYPE.
        kind = rule.rpartition(": ")[2].strip('"')
        return (
            "partition" if kind == "partition" else "fault",
            f"fault {data['table'].removeprefix(TABLE_PREFIX)} ({kind}) drops it",
            visit.place,
        )
    if data["table"] == "vpc":
        return "firewall", f"firewall rule {data.get('reason') or rule} denies it", visit.place
    result = "rejected" if "REJECT" in rule or "reject" in rule else "dropped"
    return result, f"{data.get('reason') or 'a rule'}: {rule or step.text}", visit.place


def _arrived(visit: Visit) -> bool:
    """Whether the packet came to where it was to go: in, and not out again."""
    kinds = [step.kind for step in visit.steps]
    return "in" in kinds and "out" not in kinds and visit.place.split("/")[-2:-1] in (["pod"], ["node"])


def _last_link(visit: Visit) -> str:
    links = [step for step in visit.steps if step.kind in ("in", "out")]
    if not links:
        return "in its rules"
    return f"{'leaving by' if links[-1].kind == 'out' else 'coming in by'} {links[-1].text}"


def _port(visit: Visit) -> int:
    """Where the packet was for in the end, after all translations."""
    return int(next((step.data["port"] for step in reversed(visit.steps) if step.kind in ("in", "out")), 0))
