"""A bundle is opened only if every file is what its manifest says, and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import open_bundle
from poseedge.bundle.writing import write_bundle
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.files import sha256_of
from poseedge.resources import resource


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a bundle's manifest."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def assert_refused(folder: Path, reason: str) -> None:
    with pytest.raises(ArtefactError, match=reason) as caught:
        open_bundle(folder)
    assert caught.value.hint


def test_bundle_gives_its_graphs_by_precision(small_bundle: Path) -> None:
    bundle = open_bundle(small_bundle)
    assert bundle.precisions == ["fp32", "fp16", "int8"]
    assert all(bundle.graph(precision) == small_bundle / f"nanohtnet_{precision}.onnx" for precision in bundle.precisions)


def test_precision_that_it_does_not_hold_is_told_with_those_that_it_does(small_bundle: Path) -> None:
    with pytest.raises(ArtefactError, match="holds no int4 graph") as caught:
        open_bundle(small_bundle).graph("int4")
    assert caught.value.hint == "it holds: fp32, fp16, int8"


def test_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert_refused(tmp_path, "not a bundle, it has no manifest.json")


@pytest.mark.parametrize("name", ["nanohtnet_int8.onnx", "samples.npz", "run.py"])
def test_changed_file_is_refused_by_name(own_bundle: Path, name: str) -> None:
    with (own_bundle / name).open("ab") as stream:
        stream.write(b"\0")
    assert_refused(own_bundle, rf"{name}: SHA-256 is \w{{12}}\.\.\., the manifest says")


def test_missing_file_is_refused_by_name(own_bundle: Path) -> None:
    (own_bundle / "samples.npz").unlink()
    assert_refused(own_bundle, r"samples\.npz: missing from the bundle")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"files": 3, "format": 1}', '{"format": 1}', '{"files": {}, "format": "x"}']
)
def test_damaged_manifest_is_refused(own_bundle: Path, text: str) -> None:
    (own_bundle / MANIFEST).write_text(text)
    assert_refused(own_bundle, r"manifest\.json: not a bundle manifest")


@pytest.mark.parametrize("key", ["graphs", "checkpoint", "parity", "reference", "limits", "parameters"])
def test_manifest_without_what_the_format_promises_is_refused(own_bundle: Path, key: str) -> None:
    assert_refused(rewrite(own_bundle, lambda manifest: manifest.pop(key)), rf"manifest\.json: not a bundle manifest .*{key}")


def test_manifest_that_is_no_text_is_refused(own_bundle: Path) -> None:
    (own_bundle / MANIFEST).write_bytes(b"\xff\xfe\x00")
    assert_refused(own_bundle, r"manifest\.json: not a bundle manifest")


def test_bundle_of_another_format_is_refused(own_bundle: Path) -> None:
    assert_refused(rewrite(own_bundle, lambda manifest: manifest.update(format=2)), "bundle format 2, this poseedge reads 1")


def test_bundle_knows_the_checkpoint_that_it_came_from(small_bundle: Path, export_inputs: Path) -> None:
    assert open_bundle(small_bundle).checkpoint() == export_inputs / "small.pth"


def test_checkpoint_that_travels_with_poseedge_is_found_wherever_that_lies(own_bundle: Path) -> None:
    path = resource("weights", "nanohtnet.pth")
    entry = {"file": path.name, "bundled": True, "sha256": sha256_of(path)}
    assert open_bundle(rewrite(own_bundle, lambda manifest: manifest.update(checkpoint=entry))).checkpoint() == path


@pytest.mark.parametrize(
    ("entry", "reason"),
    [({"file": "/nowhere/a.pth"}, "is not on this machine"), ({"sha256": "0" * 64}, "has changed since the bundle was exported")],
)
def test_checkpoint_that_is_gone_or_another_is_refused(own_bundle: Path, entry: dict[str, str], reason: str) -> None:
    bundle = open_bundle(rewrite(own_bundle, lambda manifest: manifest["checkpoint"].update(entry)))
    with pytest.raises(ArtefactError, match=reason):
        bundle.checkpoint()


def test_written_bundle_lists_the_hash_of_every_file(tmp_path: Path) -> None:
    with write_bundle(tmp_path / "bundle", {"model": "x"}) as folder:
        (folder / "a.bin").write_bytes(b"a")
    manifest = json.loads((tmp_path / "bundle" / MANIFEST).read_text())
    assert manifest == {"format": 1, "model": "x", "files": {"a.bin": sha256_of(tmp_path / "bundle" / "a.bin")}}


def test_what_the_manifest_learns_on_the_way_is_written(tmp_path: Path) -> None:
    manifest: dict[str, Any] = {}
    with write_bundle(tmp_path / "bundle", manifest):
        manifest["model"] = "late"
    assert json.loads((tmp_path / "bundle" / MANIFEST).read_text())["model"] == "late"


def test_bundle_replaces_an_older_one(own_bundle: Path) -> None:
    with write_bundle(own_bundle, {}):
        pass
    assert [path.name for path in own_bundle.iterdir()] == [MANIFEST]


def test_empty_folder_may_become_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with write_bundle(tmp_path / "bundle", {}):
        pass
    assert (tmp_path / "bundle" / MANIFEST).is_file()


def write_over(folder: Path) -> None:
    with write_bundle(folder, {}):
        pass


def test_engines_and_what_builds_them_faster_outlive_the_graphs(own_bundle: Path) -> None:
    built = {"engines/a.engine", "engines/8.6.timing", "a_fp16.10.3.sm_87.plan", "a_fp16.10.3.sm_87.json", "b.engine.json"}
    (own_bundle / "engines").mkdir()
    for name in {*built, "b.engine"}:
        (own_bundle / name).write_text(name)
    write_over(own_bundle)
    held = {path.relative_to(own_bundle).as_posix() for path in own_bundle.rglob("*") if path.is_file()}
    assert held == {*built, "b.engine", MANIFEST}
    assert all((own_bundle / name).read_text() == name for name in built)


def test_bundle_whose_runner_was_imported_is_replaced(own_bundle: Path) -> None:
    (own_bundle / "__pycache__").mkdir()
    (own_bundle / "__pycache__" / "run.cpython-311.pyc").write_bytes(b"x")
    write_over(own_bundle)
    assert not (own_bundle / "run.py").exists()


@pytest.mark.parametrize("name", ["report.json", "src/app.js", ".env", "nanohtnet_int4.onnx"])
def test_bundle_that_holds_what_its_manifest_does_not_list_is_not_replaced(own_bundle: Path, name: str) -> None:
    (own_bundle / name).parent.mkdir(exist_ok=True)
    (own_bundle / name).write_text("mine")
    before = {path: path.read_bytes() for path in own_bundle.rglob("*") if path.is_file()}
    with pytest.raises(PoseedgeError, match=rf"own: holds '{name.split('/')[0]}', which poseedge did not write"):
        write_over(own_bundle)
    assert {path: path.read_bytes() for path in own_bundle.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "manifest",
    [
        '{"name": "Shop", "short_name": "Shop", "icons": [], "start_url": "/"}',  # of a web app
        '{"manifest_version": 3, "name": "Blocker", "version": "1.0", "files": {}}',  # of a browser extension
        '{"format": 1, "files": {"app.js": "0"}}',
        "not JSON",
        "",
    ],
)
def test_folder_whose_manifest_is_another_programs_is_not_replaced(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / MANIFEST).write_text(manifest)
    (tmp_path / "app" / "app.js").write_text("mine")
    with pytest.raises(ArtefactError, match="app: exists and is no bundle, so it will not be replaced") as caught:
        write_over(tmp_path / "app")
    assert caught.value.hint == "choose another --output"
    assert ((tmp_path / "app" / MANIFEST).read_text(), (tmp_path / "app" / "app.js").read_text()) == (manifest, "mine")


def test_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="exists and is no bundle"), write_bundle(tmp_path / "photos", {}):
        pass
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["1.jpg"]


def test_file_in_the_place_of_the_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ArtefactError, match="exists and is no bundle"), write_bundle(tmp_path / "notes", {}):
        pass
    assert (tmp_path / "notes").read_text() == "mine"
