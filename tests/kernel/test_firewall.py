import subprocess

import pytest

from netsim import firewall, namespace
from netsim.errors import CommandFailed, MissingRequirement, RulesRejected
from netsim.namespace import namespace_path

RULES = """*nat
:TEST - [0:0]
-A TEST -d 10.0.0.1/32 -p tcp -j DNAT --to-destination 10.0.0.2:80
COMMIT
"""


def test_rules_go_to_the_namespace_and_come_back_and_the_host_has_none(netns: str) -> None:
    before = firewall.save()
    with namespace.entered(namespace_path(netns)):
        firewall.restore(RULES)
        assert "-A TEST -d 10.0.0.1/32 -p tcp -j DNAT --to-destination 10.0.0.2:80" in firewall.save("nat")
    assert firewall.save() == before


def test_noflush_keeps_what_the_text_does_not_name(netns: str) -> None:
    with namespace.entered(namespace_path(netns)):
        firewall.restore(RULES)
        firewall.restore("*nat\n:OTHER - [0:0]\nCOMMIT\n")
        assert ":TEST" in firewall.save("nat")
        firewall.restore("*nat\n:OTHER - [0:0]\nCOMMIT\n", noflush=False)
        assert ":TEST" not in firewall.save("nat")


@pytest.mark.parametrize("line", ["-A TEST -j NOWHERE", "-A TEST --frobnicate", "-A MISSING -j ACCEPT"])
def test_a_rejected_line_is_shown_and_nothing_changes(netns: str, line: str) -> None:
    with namespace.entered(namespace_path(netns)):
        with pytest.raises(RulesRejected) as caught:
            firewall.restore(RULES.replace("COMMIT", f"{line}\nCOMMIT"))
        assert caught.value.line == line
        assert line in str(caught.value)
        assert "exited with status" in str(caught.value)
        assert ":TEST" not in firewall.save("nat")


def test_a_failed_nft_command_shows_what_it_said(netns: str) -> None:
    with namespace.entered(namespace_path(netns)), pytest.raises(CommandFailed, match="frobnicate"):
        firewall.nft("frobnicate\n")


def test_a_program_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "_LIMIT_SECONDS", 0.1)
    with pytest.raises(CommandFailed, match="still running"):
        firewall.run(["sleep", "5"])
    assert not subprocess.run(["pgrep", "-fx", "sleep 5"], capture_output=True, check=False).stdout


def test_a_table_that_is_gone_is_none(netns: str) -> None:
    with namespace.entered(namespace_path(netns)):
        assert firewall.find_nft_table("ip", "nowhere") is None
        firewall.nft('table ip there {\n chain c {\n counter comment "x"\n }\n}\n')
        assert 'comment "x"' in (firewall.find_nft_table("ip", "there") or "")


def test_programs_are_found_whatever_path_the_caller_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert firewall.run(["tc", "-V"]).startswith("tc utility")
    with pytest.raises(MissingRequirement, match="no program frobnicate"):
        firewall.run(["frobnicate"])
