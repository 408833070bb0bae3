"""`netsim explain rule`: from a line of iptables-save, or a chain's or set's name, back to its object."""

from __future__ import annotations

from controlplane.explain import saved
from controlplane.explain.meaning import Interpreter
from controlplane.explain.policies import PolicyIndex, set_members
from controlplane.explain.saved import Line
from controlplane.explain.service import rule_text
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import NothingToExplain, Section, World


def explain_rule(world: World, text: str) -> list[Section]:
    """What a rule, a chain or a set is, on each node that has it."""
    services, policies = ServiceIndex(world), PolicyIndex(world)
    wanted = saved.parse_line(text)
    sections = []
    for node in world.nodes():
        interpreter = Interpreter(services, policies, node, saved.parse(world.rules(node)))
        section = _rule(wanted, node, interpreter) if wanted else _name(world, text.strip(), node, interpreter)
        if section is not None:
            sections.append(section)
    if not sections:
        what = "rule" if wanted else "chain or set"
        raise NothingToExplain(f"no node has this {what}: {text.strip()}")
    return sections


def _rule(wanted: Line, node: str, interpreter: Interpreter) -> Section | None:
    found = [
        line for line in interpreter.lines if line.chain == wanted.chain and saved.same_rule(line.text, wanted.text)
    ]
    if not found:
        return None
    text, data = [], []
    for line in found:
        meaning = interpreter.rule(line)
        text.append(
            f"rule {line.number} of {line.chain} in table {line.table}: {line.packets} packets, {line.bytes} bytes"
        )
        chain = interpreter.chain(line.chain)
        if chain:
            text.append(f"chain: {chain}")
        text.append(f"reason: {meaning.reason}")
        document = meaning.document()
        text += [
            f"{name}: {_shown(document[name])}"
            for name in ("service", "port", "endpoint", "pod", "probability", "policies")
            if name in document
        ]
        data.append(line.document() | document)
    return Section(node, f"Node {node}", text, data)


def _name(world: World, name: str, node: str, interpreter: Interpreter) -> Section | None:
    rules = [line for line in interpreter.lines if line.chain == name]
    callers = [line for line in interpreter.lines if line.target == name]
    tables = [table for table, chains in saved.chains_of(world.rules(node)).items() if name in chains]
    members = set_members(world.sets(node)).get(name)
    if not tables and members is None:
        return None
    text = [f"chain in table {table}: {interpreter.chain(name) or 'not one that netsim knows'}" for table in tables]
    for line in rules:
        text += rule_text(line, interpreter.rule(line).reason)
    text += [f"reached from rule {line.number} of {line.chain}: {line.packets} packets" for line in callers]
    if members is not None:
        text.append(f"set: {interpreter.set(name) or 'not one that netsim knows'}")
        text += [
            f"  {each.entry}  {each.comment}" + (f"  {each.packets} packets" if each.packets else "")
            for each in members
        ]
    data = {
        "tables": tables,
        "purpose": interpreter.chain(name) or interpreter.set(name),
        "rules": [line.document() | interpreter.rule(line).document() for line in rules],
        "callers": [line.document() for line in callers],
        "members": [{"entry": m.entry, "name": m.comment, "packets": m.packets} for m in members or ()],
    }
    return Section(node, f"Node {node}", text, data)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
