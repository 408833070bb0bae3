"""What `netsim scapy --command` makes of the caller's text."""

from __future__ import annotations

import pytest

from workbench.cli.scapy import _Interpreter


def test_names_of_the_text_are_known_in_its_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert _Interpreter({"names": {"pod/a": "10.44.1.2"}}).run("def f():\n    print(names['pod/a'])\nf()")
    assert capsys.readouterr().out == "10.44.1.2\n"


@pytest.mark.parametrize(
    ("text", "said"), [("syntax error(", "SyntaxError"), ("def f():\n    raise ValueError('x')\nf()", "ValueError: x")]
)
def test_a_mistake_in_it_is_shown_and_nothing_of_ours(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not _Interpreter({}).run(text)
    told = capsys.readouterr().err
    assert said in told
    assert '"--command"' in told
    assert ".py" not in told
