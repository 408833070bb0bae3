"""The image store: archives of every kind, a real registry, hostile content, concurrent use and kills."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from controlplane.node.errors import StoreFailure
from controlplane.node.images import library as library_module
from controlplane.node.images.directory import StoreDirectory
from controlplane.node.images.index import Index
from controlplane.node.images.library import ImageLibrary, PullOptions
from controlplane.node.images.local import LocalImages
from controlplane.node.images.reference import parse
from tests.archives import directory, file, layer, link, save, skopeo_copy
from tests.registry import PROGRAM, Registry, running_registry

needs_registry = pytest.mark.skipif(not PROGRAM.exists(), reason=f"needs {PROGRAM}; make setup unpacks it")
NAME = "docker.io/library/app:1"


@pytest.fixture
def library(tmp_path: Path) -> ImageLibrary:
    """A store of its own."""
    return ImageLibrary(StoreDirectory(tmp_path / "store"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A small image, app:1, with a label so that it is no other's."""
    layers = [layer(directory("etc"), file("etc/motd", b"one")), layer(file("etc/motd", b"two"))]
    return save(tmp_path / "app.tar", ["app:1"], layers, {"Cmd": ["/bin/app"], "Env": ["A=1"]})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def root_of(library: ImageLibrary, name: str = NAME) -> Path:
    image = library.find(name)
    assert image is not None
    return library.directory.base(image.key)


def everything(library: ImageLibrary) -> set[str]:
    """All files and roots of the store, the index and the locks left out."""
    place = library.directory
    found = [*(place.blobs / "sha256").iterdir(), *place.roots.iterdir(), *place.incoming.iterdir()]
    return {path.name for path in found}


def test_every_kind_of_archive_gives_the_same_image(library: ImageLibrary, archive: Path, tmp_path: Path) -> None:
    added = library.load(archive)
    assert [image.names for image in added] == [(NAME,)]
    key = added[0].image.key
    assert (root_of(library) / "etc/motd").read_text() == "two"
    assert added[0].image.config["Cmd"] == ["/bin/app"]

    packed = tmp_path / "app.tar.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes()))
    oci, layout = tmp_path / "oci:1.tar", tmp_path / "layout"
    skopeo_copy(f"docker-archive:{archive}:@0", f"oci:{layout}:app:2", tmp_path)
    with tarfile.open(oci, "w") as tar:
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(layout / name, f"./{name}")
    assert library.load(packed)[0].image.key == key
    assert [image.names for image in library.load(oci)] == [("docker.io/library/app:2",)]
    assert library.load(layout, name="ghcr.io/me/app")[0].names == ("ghcr.io/me/app:latest",)
    with archive.open("rb") as stream:
        assert library.load(stream, name="stdin:1")[0].image.key == key
    assert set(library.index().names) == {
        NAME,
        "docker.io/library/app:2",
        "ghcr.io/me/app:latest",
        "docker.io/library/stdin:1",
    }
    assert list(library.index().images) == [key]


def test_what_skopeo_remembers_is_kept_in_its_scratch_directory(archive: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    skopeo_copy(f"docker-archive:{archive}:@0", f"oci:{tmp_path}/layout:app:1", scratch)
    assert list(scratch.glob("containers/cache/blob-info-cache*"))


def test_what_is_no_archive_is_refused_in_words(library: ImageLibrary, archive: Path, tmp_path: Path) -> None:
    nameless = save(tmp_path / "nameless.tar", [], [layer(file("a"))])
    with pytest.raises(StoreFailure, match="has no name"):
        library.load(nameless)
    text = tmp_path / "text"
    text.write_text("no archive")
    with pytest.raises(StoreFailure, match="text is not a docker archive, an OCI archive or an OCI layout"):
        library.load(text)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(StoreFailure, match=r"cut\.tar"):
        library.load(cut)
    with pytest.raises(StoreFailure, match="is not a docker archive"):
        library.load(tmp_path)
    wrong = save(tmp_path / "wrong.tar", ["wrong:1"], [layer(file("a"))])
    broken = tmp_path / "broken.tar"
    with tarfile.open(wrong) as source, tarfile.open(broken, "w") as target:
        for member in source:
            data = source.extractfile(member).read()  # type: ignore[union-attr]
            data = data.replace(b"sha256:", b"sha256:0", 1)[: len(data)] if member.name == "config.json" else data
            target.addfile(member, io.BytesIO(data))
    with pytest.raises(StoreFailure):
        library.load(broken)
    assert library.index() == Index()
    assert everything(library) <= {path.name for path in (library.directory.blobs / "sha256").iterdir()}


def test_layers_lay_over_each_other_as_in_a_container(library: ImageLibrary, tmp_path: Path) -> None:
    first = layer(
        directory("gone"),
        file("gone/a", b"a"),
        directory("opaque"),
        file("opaque/old", b"old"),
        file("one", b"data", 0o4755, uid=1000, gid=1001),
        link("two", "one", tarfile.LNKTYPE),
        file("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        file("fifo", type=tarfile.FIFOTYPE),
        file("marked", b"x", pax_headers={"SCHILY.xattr.user.colour": "blue"}),
        file("sly", b"x", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}),
    )
    second = layer(file(".wh.gone"), directory("opaque"), file("opaque/.wh..wh..opq"), file("opaque/new", b"new"))
    library.load(save(tmp_path / "l.tar", ["app:1"], [first, second]))
    root = root_of(library)
    assert {path.name for path in root.iterdir()} == {"opaque", "one", "two", "null", "fifo", "marked", "sly"}
    assert [path.name for path in (root / "opaque").iterdir()] == ["new"]
    status = (root / "one").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_nlink) == (0o4755, 1000, 1001, 2)
    assert (root / "two").samefile(root / "one")
    device = (root / "null").stat().st_rdev
    assert (os.major(device), os.minor(device)) == (1, 3)
    assert os.getxattr(root / "marked", "user.colour") == b"blue"
    assert os.listxattr(root / "sly") == []
    assert library.directory.root.stat().st_mode & 0o777 == 0o700


def test_a_hostile_archive_writes_nothing_outside(library: ImageLibrary, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    hostile = layer(
        file("../../../escape", b"x"),
        file(f"{victim}/absolute", b"x"),
        link("way", str(victim)),
        file("way/through", b"x"),
        link("up", "../../../../../../../../../.."),
        file(f"up{victim}/above", b"x"),
        link("hard", str(victim / "target"), tarfile.LNKTYPE),
    )
    (victim / "target").write_text("mine")
    with suppress(StoreFailure):
        library.load(save(tmp_path / "h.tar", ["app:1"], [hostile]))
    assert [path.name for path in victim.iterdir()] == ["target"]
    assert (victim / "target").stat().st_nlink == 1
    assert {path.name for path in tmp_path.iterdir()} == {"store", "victim", "h.tar"}
    assert {path.name for path in library.directory.root.iterdir()} <= {
        *("lock", "adding", "blobs", "roots", "incoming", "index.json")
    }


def test_an_oci_archive_gives_only_what_a_layout_has(library: ImageLibrary, archive: Path, tmp_path: Path) -> None:
    layout, evil = tmp_path / "layout", tmp_path / "evil.tar"
    skopeo_copy(f"docker-archive:{archive}:@0", f"oci:{layout}:app:1", tmp_path)
    with tarfile.open(evil, "w") as tar:
        for info, data in (file("../outside", b"x"), link("blobs", "/"), file("blobs/../../up", b"x")):
            tar.addfile(info, io.BytesIO(data))
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(layout / name, name)
    library.load(evil)
    assert (root_of(library) / "etc/motd").read_text() == "two"
    assert not [path for path in tmp_path.rglob("*") if path.name in ("outside", "up")]


def test_links_in_an_image_do_not_show_the_host_s_accounts(library: ImageLibrary, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("eve:x:1:1::/:/bin/sh\n")
    library.load(
        save(tmp_path / "a.tar", ["app:1"], [layer(directory("etc"), link("etc/passwd", str(tmp_path / "passwd")))])
    )
    source = LocalImages(library)
    image = source.find("app:1")
    assert image is not None
    assert source.accounts(image).users == {}


def test_remove_takes_what_nobody_needs(library: ImageLibrary, tmp_path: Path) -> None:
    shared = layer(file("shared", b"s" * 1000))
    library.load(save(tmp_path / "a.tar", ["a:1", "a:2"], [shared, layer(file("a"))]))
    library.load(save(tmp_path / "b.tar", ["b:1"], [shared, layer(file("b"))]))
    before = everything(library)
    assert library.remove("a:1") == ["docker.io/library/a:1"]
    assert everything(library) == before
    library.remove("a:2")
    kept = library.find("b:1")
    assert kept is not None
    assert everything(library) == {kept.key, *(blob.partition(":")[2] for blob in kept.blobs)}
    with pytest.raises(StoreFailure, match="there is no image a:1"):
        library.remove("a:1")
    library.remove(kept.key[:12])
    assert everything(library) == set()


def test_a_name_that_another_image_takes_is_its(library: ImageLibrary, tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        library.load(save(tmp_path / "a.tar", ["a:1"], [layer(file("what", content))]))
    assert (root_of(library, "a:1") / "what").read_bytes() == b"new"
    assert len(library.index().images) == 1
    assert len(list(library.directory.roots.iterdir())) == 1


def test_an_image_in_use_is_refused_and_with_force_keeps_its_files(
    library: ImageLibrary, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RUN_ROOT", tmp_path / "run")
    bundle = tmp_path / "run/lab/nodes/node-1/containers/c1"
    bundle.mkdir(parents=True)
    image = library.load(archive)[0].image
    assert library.claim(image.key, bundle) == root_of(library)
    (bundle / "record.json").write_text(json.dumps({"pod_namespace": "default", "pod_name": "web"}))
    with pytest.raises(StoreFailure, match="in use by pod default/web of cluster lab"):
        library.remove("app:1")
    base = root_of(library)
    assert library.remove("app:1", force=True) == [NAME]
    assert library.find("app:1") is None
    assert (base / "etc/motd").exists()
    assert library.claim(image.key, bundle) is None
    (bundle / "exit").write_text("0")
    library.sweep()
    assert everything(library) == set()


def test_prune_takes_what_no_container_runs_on(
    library: ImageLibrary, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RUN_ROOT", tmp_path / "run")
    bundle = tmp_path / "run/lab/nodes/node-1/containers/c1"
    bundle.mkdir(parents=True)
    used = library.load(archive)[0].image
    assert library.claim(used.key, bundle) is not None
    library.load(save(tmp_path / "b.tar", ["b:1", "b:2"], [layer(file("b"))]))
    assert library.prune() == ["docker.io/library/b:1", "docker.io/library/b:2"]
    assert everything(library) == {used.key, *(blob.partition(":")[2] for blob in used.blobs)}
    assert library.prune() == []
    (bundle / "exit").write_text("0")
    assert library.prune() == [NAME]
    assert everything(library) == set()


def test_many_add_the_same_at_once(library: ImageLibrary, archive: Path, tmp_path: Path) -> None:
    others = [save(tmp_path / f"o{n}.tar", [f"o:{n}"], [layer(file("n", b"%d" % n))]) for n in range(2)]
    places = [ImageLibrary(library.directory) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[0].load(pair[1]), zip(places, [archive, archive, *others], strict=True)))
    assert len(library.index().images) == 3
    assert everything(library) == {
        *library.index().images,
        *(blob.partition(":")[2] for image in library.index().images.values() for blob in image.blobs),
    }


@pytest.mark.parametrize("moment", ["copying", "unpacking", "unpacked"])
def test_a_kill_at_any_moment_leaves_a_store_that_works(
    library: ImageLibrary, archive: Path, tmp_path: Path, moment: str
) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from controlplane.node.images import library
from controlplane.node.images.directory import StoreDirectory
store = library.ImageLibrary(StoreDirectory(Path({str(library.directory.root)!r})))
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "copying":
    store._describe = die
elif {moment!r} == "unpacking":
    library._drop_overlay_attributes = die
else:
    store._commit = die
store.load(Path({str(archive)!r}))
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert library.index() == Index()
    assert everything(library)
    assert library.load(archive)[0].names == (NAME,)
    assert (root_of(library) / "etc/motd").read_text() == "two"
    library.remove("app:1")
    assert everything(library) == set()


@needs_registry
def test_pull_from_a_registry(library: ImageLibrary, registry: Registry, archive: Path, tmp_path: Path) -> None:
    name = registry.push(archive, "team/app:1")
    heard: list[str] = []
    added = library.pull(parse(name), tell=heard.append)
    assert (added.fresh, added.names) == (True, (name,))
    assert any(line.startswith("Copying blob") for line in heard)
    pinned = library.index().digests_of(added.image.key)[0]
    assert pinned.startswith(f"{registry.host}/team/app@sha256:")
    assert not library.pull(parse(name)).fresh
    assert library.find(pinned) == added.image
    source = LocalImages(library)
    assert source.find(name).id == pinned  # type: ignore[union-attr]

    registry.push(save(tmp_path / "n.tar", ["x:1"], [layer(file("newer"))]), "team/app:1")
    newer = library.pull(parse(name))
    assert newer.fresh
    assert library.find(name) == newer.image
    assert library.find(pinned) == added.image


@needs_registry
def test_pull_says_what_the_registry_says(library: ImageLibrary, registry: Registry) -> None:
    with pytest.raises(StoreFailure, match="manifest unknown"):
        library.pull(parse(f"{registry.host}/no/such:1"))
    with pytest.raises(StoreFailure, match="connection refused"):
        library.pull(parse("127.0.0.1:1/app:1"))
    with pytest.raises(StoreFailure, match="HTTP response to HTTPS client"):
        library.pull(parse(f"{registry.host}/no/such:1"), PullOptions(verify_tls=True))


@needs_registry
def test_a_private_registry_wants_credentials(library: ImageLibrary, archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "private"
    data.mkdir()
    with running_registry(data, private=True) as private:
        authfile = tmp_path / "auth.json"
        authfile.write_text(private.credentials())
        name = private.push(archive, "app:1", f"--dest-authfile={authfile}")
        with pytest.raises(StoreFailure, match="authentication required"):
            library.pull(parse(name))
        assert library.pull(parse(name), PullOptions(authfile=authfile)).fresh


def test_what_is_not_installed_is_named(library: ImageLibrary, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(StoreFailure, match="the program skopeo is not installed") as failure:
        library.load(archive)
    assert failure.value.remedy == "install the Debian package skopeo"
