"""A bundle is opened only if every file is what its manifest says, and written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from poseedge.backends.registry import load
from poseedge.bench.entries import subjects_of
from poseedge.bundle.manifest import MANIFEST, Description
from poseedge.bundle.reading import open_bundle
from poseedge.bundle.writing import write_bundle
from poseedge.errors import ArtefactError
from poseedge.files import sha256_of
from poseedge.resources import resource
from tests.support import samples


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


def test_folder_of_a_training_is_told_by_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "best.pth").touch()
    with pytest.raises(ArtefactError, match="not a bundle") as caught:
        open_bundle(tmp_path)
    assert caught.value.hint == f"name its checkpoint: {tmp_path / 'best.pth'}"


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


@pytest.mark.parametrize("key", ["graphs", "checkpoint", "parity", "reference", "limits", "parameters", "files", "frames"])
def test_manifest_without_what_the_format_promises_is_refused(own_bundle: Path, key: str) -> None:
    assert_refused(rewrite(own_bundle, lambda manifest: manifest.pop(key)), f"not a bundle manifest: {key}: is missing")


def test_manifest_that_is_no_text_is_refused(own_bundle: Path) -> None:
    (own_bundle / MANIFEST).write_bytes(b"\xff\xfe\x00")
    assert_refused(own_bundle, r"manifest\.json: not a bundle manifest")


def test_bundle_of_another_format_is_refused(own_bundle: Path) -> None:
    assert_refused(rewrite(own_bundle, lambda manifest: manifest.update(format=2)), "bundle format 2, this poseedge reads 1")


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a size in words": (
        lambda m: m["graphs"]["fp16"].update(bytes="many"),
        r"graphs\.fp16\.bytes: should be a whole number, found 'many'",
    ),
    "a list for a table": (lambda m: m.update(files=[]), r"files: should be a table, found \[\]"),
    "a number for a file": (lambda m: m["graphs"]["int8"].update(file=3), r"graphs\.int8\.file: should be text, found 3"),
    "true for a number": (lambda m: m.update(parameters=True), "parameters: should be a whole number, found True"),
    "a limit of nothing": (lambda m: m["limits"]["fp32"].update(mean_mm=0), r"limits\.fp32\.mean_mm: .*greater than 0"),
    "a limit that is not known": (lambda m: m["limits"]["fp32"].update(max_mm=1), r"limits\.fp32\.max_mm: is no key"),
    "an unknown precision": (lambda m: m["graphs"].update(int4=m["graphs"]["int8"]), r"graphs\.int4.*'fp32', 'fp16', 'int8'"),
    "no graphs": (lambda m: m["graphs"].clear(), "graphs: .*at least 1 item"),
    "no hashes": (lambda m: m["files"].clear(), "files: .*at least 1 item"),
    "half a hash": (lambda m: m["files"].update({"run.py": "00"}), r"files\.run\.py: .*pattern .* found '00'"),
    "NaN": (lambda m: m["reference"].update(mpjpe_mm=float("nan")), r"reference\.mpjpe_mm: nan is no finite number"),
    "a huge number": (lambda m: m.update(frames=1 << 70), "frames: a number of 71 bits"),
    "no proof of a graph": (lambda m: m["parity"].pop("int8"), "parity says nothing of int8"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_value_is_told_with_file_and_field(own_bundle: Path, wrong: str) -> None:
    change, reason = WRONG[wrong]
    assert_refused(rewrite(own_bundle, change), rf"manifest\.json: not a bundle manifest: {reason}")


def test_deep_nesting_is_told(own_bundle: Path) -> None:
    text = (own_bundle / MANIFEST).read_text()
    for depth, reason in ((60, "nested more than 50 deep"), (100_000, "nested")):
        (own_bundle / MANIFEST).write_text(text.replace("{", '{"deep": ' + "[" * depth + "]" * depth + ", ", 1))
        assert_refused(own_bundle, rf"manifest\.json: not a bundle manifest: .*{reason}")


def test_what_a_later_poseedge_adds_is_tolerated_and_kept(own_bundle: Path) -> None:
    def add(manifest: dict[str, Any]) -> None:
        manifest["colour"] = "red"
        manifest["graphs"]["fp32"]["layers"] = [1]

    manifest = open_bundle(rewrite(own_bundle, add)).manifest.model_dump()
    assert (manifest["colour"], manifest["graphs"]["fp32"]["layers"]) == ("red", [1])


# No graph without its hash


def test_graph_without_a_hash_is_refused(own_bundle: Path) -> None:
    assert_refused(
        rewrite(own_bundle, lambda m: m["files"].pop("nanohtnet_fp32.onnx")), "names 'nanohtnet_fp32.onnx', and has no"
    )


@pytest.mark.parametrize("key", ["samples", "ranges"])
def test_other_file_without_a_hash_is_refused(own_bundle: Path, key: str) -> None:
    name = {"samples": "samples.npz", "ranges": "ranges.json"}[key]
    assert_refused(rewrite(own_bundle, lambda m: m["files"].pop(name)), f"names '{name}', and has no hash of it")


def elsewhere(own_bundle: Path) -> Path:
    """Return the folder beside the bundle, with a graph that the manifest could name."""
    shutil.copy(own_bundle / "nanohtnet_fp32.onnx", own_bundle.parent / "other.onnx")
    return own_bundle.parent


@pytest.mark.parametrize("way", ["../other.onnx", "sub/other.onnx", "{}/other.onnx", "..", ".", "", "a\\b.onnx", "a\0b.onnx"])
@pytest.mark.parametrize("listed", [True, False])
def test_graph_that_lies_elsewhere_is_refused(own_bundle: Path, way: str, listed: bool) -> None:
    outside = elsewhere(own_bundle)
    shutil.copytree(own_bundle, own_bundle / "sub")
    shutil.copy(outside / "other.onnx", own_bundle / "sub")
    name = way.format(outside)

    def change(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["fp32"]["file"] = name
        if listed:
            manifest["files"][name] = sha256_of(outside / "other.onnx")

    assert_refused(rewrite(own_bundle, change), r"manifest\.json: not a bundle manifest: (graphs\.fp32\.file|files)")


def test_link_that_leads_out_of_the_bundle_is_refused(own_bundle: Path) -> None:
    outside = elsewhere(own_bundle)
    (own_bundle / "nanohtnet_fp32.onnx").unlink()
    (own_bundle / "nanohtnet_fp32.onnx").symlink_to(outside / "other.onnx")
    assert_refused(own_bundle, r"nanohtnet_fp32\.onnx: leads out of the bundle, to .*other\.onnx")


def test_link_within_the_bundle_and_a_bundle_behind_a_link_are_opened(own_bundle: Path, tmp_path: Path) -> None:
    (own_bundle / "nanohtnet_fp32.onnx").rename(own_bundle / "stored")
    (own_bundle / "nanohtnet_fp32.onnx").symlink_to("stored")
    (tmp_path / "link").symlink_to(own_bundle)
    assert open_bundle(tmp_path / "link").precisions == ["fp32", "fp16", "int8"]


@pytest.mark.parametrize(("label", "other"), [("fp32", "int8"), ("int8", "fp32"), ("fp32", "fp16"), ("fp16", "int8")])
def test_graph_of_another_precision_is_refused(own_bundle: Path, label: str, other: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["graphs"][label]["file"] = manifest["graphs"][other]["file"]

    said = rf"nanohtnet_{other}\.onnx: is a graph in {other}, and the manifest calls it {label}"
    assert_refused(rewrite(own_bundle, change), said)


@pytest.mark.parametrize(("label", "other", "told"), [("fp32", "int8", "int8"), ("int8", "fp32", "float")])
def test_graph_that_says_nothing_shows_whether_it_is_quantized(own_bundle: Path, label: str, other: str, told: str) -> None:
    model = onnx.load(own_bundle / f"nanohtnet_{other}.onnx")
    del model.metadata_props[:]
    onnx.save(model, own_bundle / f"nanohtnet_{label}.onnx")

    def vouch(manifest: dict[str, Any]) -> None:
        manifest["files"][f"nanohtnet_{label}.onnx"] = sha256_of(own_bundle / f"nanohtnet_{label}.onnx")

    assert_refused(
        rewrite(own_bundle, vouch), rf"nanohtnet_{label}\.onnx: is a graph in {told}, and the manifest calls it {label}"
    )


@pytest.mark.parametrize("use", [load, subjects_of], ids=["load and eval", "bench"])
def test_every_way_in_goes_by_the_same_rule(own_bundle: Path, use: Callable[[Path], object]) -> None:
    rewrite(own_bundle, lambda m: m["files"].pop("nanohtnet_int8.onnx"))
    with pytest.raises(ArtefactError, match=r"names 'nanohtnet_int8\.onnx', and has no hash of it"):
        use(own_bundle)


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


def write_over(folder: Path) -> Description:
    """Write a bundle of two small graphs."""
    source = samples.checkpoint(folder.parent / "source.pth")

    def fill(inside: Path) -> Description:
        for precision in ("fp32", "int8"):
            samples.lifting_graph(inside / f"{precision}.onnx", precision)
        return samples.described(inside, source)

    return write_bundle(folder, fill)


def test_written_bundle_says_what_it_was_told_and_lists_the_hash_of_every_file(tmp_path: Path) -> None:
    told = write_over(tmp_path / "bundle")
    written = json.loads((tmp_path / "bundle" / MANIFEST).read_text())
    names = ("fp32.onnx", "int8.onnx", "samples.npz")
    assert written["files"] == {name: sha256_of(tmp_path / "bundle" / name) for name in names}
    assert written == {"format": 1, **told.model_dump(mode="json"), "files": written["files"]}
    assert open_bundle(tmp_path / "bundle").manifest.model_dump() == written | {"output_frames": list(told.output_frames)}


def test_bundle_replaces_an_older_one(own_bundle: Path) -> None:
    write_over(own_bundle)
    assert {path.name for path in own_bundle.iterdir()} == {"fp32.onnx", "int8.onnx", "samples.npz", MANIFEST}


def test_empty_folder_may_become_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write_over(tmp_path / "bundle")
    assert (tmp_path / "bundle" / MANIFEST).is_file()


def test_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="exists and is no bundle"):
        write_over(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["1.jpg"]


def test_file_in_the_place_of_the_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ArtefactError, match="exists and is no bundle"):
        write_over(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"
