"""kubeconfig files: merged, taken back, in their owner's name."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from controlplane.directories import Directories
from workbench.cli import exports, kubeconfigs
from workbench.cli.errors import UserError
from workbench.cli.files import Owner, acting_as, invoking_owner, write_atomically
from workbench.cli.main import run
from workbench.cli.options import existing

KUBECTL = str(Path(sys.executable).parent / "kubectl")
OURS = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "lab", "cluster": {"server": "https://127.0.0.1:6444"}}],
    "users": [{"name": "lab", "user": {"token": "secret"}}],
    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    "current-context": "lab",
}
THEIRS = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "work", "cluster": {"server": "https://work.example"}}],
    "users": [{"name": "me", "user": {"token": "mine"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "team"}}],
    "current-context": "work",
}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as other users: needs root")


@pytest.fixture
def person(tmp_path: Path) -> Owner:
    """Somebody who is not root, with a home directory."""
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    return Owner("nobody", nobody.pw_uid, nobody.pw_gid, home)


@pytest.fixture
def ready(lab: Directories) -> Directories:
    lab.admin_kubeconfig.write_text(yaml.safe_dump(OURS))
    return lab


def test_merging_adds_and_replaces_and_leaves_the_rest() -> None:
    added = kubeconfigs.under_one_name(OURS, "netsim-lab")
    once = kubeconfigs.merged(THEIRS, added)
    assert once["current-context"] == "netsim-lab"
    assert once["preferences"] == {"colors": True}
    assert [entry["name"] for entry in once["contexts"]] == ["work", "netsim-lab"]
    assert kubeconfigs.merged(once, added) == once
    assert kubeconfigs.without(once, "netsim-lab") == THEIRS | {"current-context": ""}


def test_removing_leaves_another_current_context() -> None:
    merged = kubeconfigs.merged(THEIRS, kubeconfigs.under_one_name(OURS, "netsim-lab")) | {"current-context": "work"}
    assert kubeconfigs.without(merged, "netsim-lab") == THEIRS


@pytest.mark.parametrize("text", ["[", "a string", "- a\n- list\n", "clusters: {a: b}\n"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"/home/me/\.kube/config"):
        kubeconfigs.parse(text, file="/home/me/.kube/config")


def test_an_empty_file_is_an_empty_kubeconfig() -> None:
    assert kubeconfigs.parse("", file="config") == {}


@needs_root
def test_merge_makes_a_file_that_kubectl_reads_and_down_takes_it_back(ready: Directories, person: Owner) -> None:
    config = person.home / ".kube" / "config"
    with acting_as(person):
        config.parent.mkdir()
        config.write_text(yaml.safe_dump(THEIRS))
    assert exports.merge(ready, person) == config
    assert (config.stat().st_uid, config.stat().st_mode & 0o777) == (person.uid, 0o600)
    shown = subprocess.run(
        [KUBECTL, "--kubeconfig", str(config), "config", "get-contexts", "-o", "name"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(shown.stdout.split()) == ["netsim-lab", "work"]
    assert exports.take_back(exports.exported(ready), "lab") == []
    assert yaml.safe_load(config.read_text()) == THEIRS | {"current-context": ""}


@needs_root
def test_a_file_that_merge_made_goes_with_its_last_entry(ready: Directories, person: Owner) -> None:
    config = exports.merge(ready, person)
    exports.merge(ready, person)
    assert exports.take_back(exports.exported(ready), "lab") == []
    assert not config.exists()


@needs_root
def test_export_gives_the_person_a_file_of_their_own_and_down_takes_it_back(ready: Directories, person: Owner) -> None:
    path = exports.export(ready, person)
    assert path == person.home / ".kube" / "netsim-lab.yaml"
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (person.uid, 0o600)
    assert yaml.safe_load(path.read_text()) == OURS
    exports.export(ready, person)
    assert len(exports.exported(ready)) == 1
    assert exports.take_back(exports.exported(ready), "lab") == []
    assert not path.exists()
    assert exports.take_back([exports.Export(str(path), person.uid, merged=False)], "lab") == []


@needs_root
def test_what_kubectl_remembers_of_a_cluster_goes_with_it(
    ready: Directories, person: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exports.cache(ready, person)
    assert exports.take_back(exports.exported(ready), "lab") == []
    with acting_as(person):
        (path / "discovery" / "127.0.0.1_6443").mkdir(parents=True)
        path.with_name("discovery").mkdir()
    assert exports.take_back(exports.exported(ready), "lab") == []
    assert [each.name for each in path.parent.iterdir()] == ["discovery"]
    monkeypatch.setattr(exports, "invoking_owner", lambda: person)
    assert exports.to_take_back(ready) == exports.exported(ready)
    # The next cluster of that name, whose kubeconfig was not asked for: the shell has it from this one.
    (ready.state / exports.EXPORTS_FILE).unlink()
    with acting_as(person):
        path.mkdir()
    assert exports.take_back(exports.to_take_back(ready), "lab") == []
    assert not path.exists()


@needs_root
def test_a_link_planted_in_a_home_leads_root_nowhere(ready: Directories, person: Owner, tmp_path: Path) -> None:
    guarded = tmp_path / "guarded"
    guarded.mkdir(mode=0o700)
    with acting_as(person):
        (person.home / ".kube").symlink_to(guarded)
    with pytest.raises(PermissionError):
        exports.export(ready, person)
    assert list(guarded.iterdir()) == []


@needs_root
def test_a_file_that_its_owner_cannot_read_is_told_with_the_remedy(ready: Directories, person: Owner) -> None:
    config = person.home / ".kube" / "config"
    config.parent.mkdir()
    os.chown(config.parent, person.uid, person.gid)
    write_atomically(config, b"{}")
    with pytest.raises(UserError, match="cannot be read by nobody") as caught:
        exports.merge(ready, person)
    assert caught.value.remedy.endswith(f"sudo chown nobody {config}")


def test_root_needs_no_copy(ready: Directories) -> None:
    root = Owner("root", 0, 0, Path("/root"))
    assert exports.export(ready, root) == ready.admin_kubeconfig
    assert exports.exported(ready) == []


def test_a_cluster_that_was_never_ready_has_no_kubeconfig(lab: Directories) -> None:
    with pytest.raises(UserError, match="has no kubeconfig yet"):
        exports.content(lab)


def test_the_invoking_user_is_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam("nobody").pw_uid))
    expected = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert invoking_owner().name == expected
    monkeypatch.delenv("SUDO_UID")
    assert invoking_owner().uid == os.geteuid()


@needs_root
def test_a_user_whom_the_host_does_not_know_keeps_nobody_from_removing(
    ready: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "99999")
    assert exports.to_take_back(ready) == []
    with pytest.raises(UserError, match="user 99999, whom this host does not know"):
        invoking_owner()


@pytest.mark.skipif(os.geteuid() != 0, reason="behind sudo is root")
def test_home_counts_without_sudo_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert invoking_owner().home == tmp_path
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam("nobody").pw_uid))
    assert invoking_owner().home == Path(pwd.getpwnam("nobody").pw_dir)
    monkeypatch.delenv("SUDO_UID")
    monkeypatch.setenv("HOME", "")
    assert invoking_owner().home == Path(pwd.getpwuid(0).pw_dir)


def test_the_file_is_the_one_that_kubectl_itself_writes(tmp_path: Path) -> None:
    owner = Owner("me", os.geteuid(), os.getegid(), tmp_path)
    (tmp_path / "second").write_text("")
    for variable in ("", "first", "first:second:third", "first:third", ":second"):
        wanted = ":".join(str(tmp_path / name) if name else "" for name in variable.split(":"))
        subprocess.run(
            [KUBECTL, "config", "set-context", "mark"],
            env={"HOME": str(tmp_path), "KUBECONFIG": wanted},
            capture_output=True,
            check=True,
        )
        found = [path for path in tmp_path.rglob("*") if path.is_file() and "mark" in path.read_text()]
        assert found == [exports.written_by_kubectl(owner, wanted)], variable
        found[0].write_text("") if found[0].name == "second" else found[0].unlink()


@needs_root
def test_merge_follows_kubeconfig_and_passes_over_what_export_made(ready: Directories, person: Owner) -> None:
    own = person.home / "own" / "config"
    copy = exports.export(ready, person)
    assert exports.merge(ready, person, f"{ready.admin_kubeconfig}:{copy}:{own}") == own
    assert (own.stat().st_uid, own.stat().st_mode & 0o777) == (person.uid, 0o600)
    assert exports.merge(ready, person, str(copy)) == person.home / ".kube" / "config"
    assert yaml.safe_load(ready.admin_kubeconfig.read_text()) == OURS
    assert exports.take_back(exports.exported(ready), "lab") == []
    assert not own.exists()


@needs_root
def test_export_puts_our_kubectl_before_others(
    ready: Directories, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["kubeconfig", "--name", "lab", "--export"]) == 0
    script = capsys.readouterr().out + 'command -v kubectl; echo "$KUBECACHEDIR"'
    shell = subprocess.run(
        ["/bin/sh", "-ec", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.splitlines() == [KUBECTL, str(tmp_path / ".kube" / "cache" / "netsim-lab")]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "config"
    write_atomically(file, b"old")
    with pytest.raises(TypeError):
        write_atomically(file, "not bytes")  # type: ignore[arg-type]
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_names_that_exist_are_told_when_one_does_not(lab: Directories) -> None:
    assert existing("lab") == lab
    with pytest.raises(UserError):
        existing("other")
