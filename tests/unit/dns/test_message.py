"""Bytes of strangers."""

from __future__ import annotations

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.dns import message
from controlplane.dns.message import MalformedMessage
from controlplane.dns.records import Answer, Code, Record, Type

QUERY = dns.message.make_query("web.default.svc.cluster.local", "A", use_edns=0, payload=1232).to_wire()
WHOLE = Answer(
    (Record(Type.A, "10.48.0.20"), Record(Type.CNAME, "www.example.com")),
    (Record(Type.AAAA, "fd00::1", "www.example.com"),),
    authority=Record(Type.SOA, "ns.dns.cluster.local hostmaster.cluster.local 1", "cluster.local"),
)


def mutated(changes: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(QUERY)
    for at, value in changes:
        data[at % len(data)] = value
    return bytes(data[: len(data) - cut])


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=100),
        st.builds(
            mutated, st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=4), st.integers(0, 30)
        ),
    )
)
def test_any_bytes_are_a_question_that_can_be_answered_or_malformed(data: bytes) -> None:
    try:
        query = message.parse(data)
    except MalformedMessage:
        assert len(data) < message.HEADER_BYTES or data[2] & 0x80 or message.format_error(data)
        return
    for answer in (WHOLE, Answer(code=Code.NXDOMAIN, authority=WHOLE.authority)):
        wire = message.encode(query, answer, query.udp_limit)
        assert len(wire) <= query.udp_limit
        assert wire[:2] == data[:2]
        assert wire[12 : query.question_end] == data[12 : query.question_end]
    assert message.refuse(query, Code.BADVERS)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_from_upstream_are_an_answer_or_malformed(data: bytes) -> None:
    try:
        code, _ = message.read(data)
    except MalformedMessage:
        return
    assert 0 <= code < 16
