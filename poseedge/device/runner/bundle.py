"""One precision of a bundle, read and checked against its manifest."""

import json
import zipfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from poseedge.device.runner.engine.routes import PRECISIONS, suited
from poseedge.device.runner.files import sha256_of
from poseedge.device.runner.words import Refused, note
from poseedge.onnx_file import model_metadata, nodes_of

FORMAT = 1
JOINTS = 17


class Bundle(NamedTuple):
    """One precision of a bundle whose files have been checked against the manifest."""

    manifest: Dict[str, Any]
    precision: str
    graph: Path
    keypoints: Any  # (N, T, 17, C) float32, normalized screen coordinates, and a confidence if C is 3
    poses: Any  # (N, T_out, 17, 3) float32, metres: what the network gives in FP32
    limits: Dict[str, float]  # mean_mm, p99_mm
    float32_nodes: List[str]  # what stays in FP32 where TensorRT may choose a lower precision by itself


def open_bundle(folder: Path, precision: str, trt: Any = None) -> Bundle:
    """Read and check the bundle in ``folder``; what is named ``int8`` may depend on this TensorRT."""
    manifest = read_manifest(folder / "manifest.json")
    for name, wanted in sorted(manifest["files"].items()):
        check_file(folder, name, wanted)
    if trt is not None and precision != suited(trt, precision, manifest["graphs"]):
        precision = suited(trt, precision, manifest["graphs"])
        note("taking the {} graph, whose rest does not run in FP32; --as-named takes the other".format(precision))
    if precision not in manifest["graphs"]:
        held = ", ".join(p for p in PRECISIONS if p in manifest["graphs"])
        raise Refused("the bundle holds no {} graph; it holds: {}".format(precision, held))
    try:
        names = manifest["graphs"][precision]["file"], manifest["samples"]
        frames, frames_out = int(manifest["frames"]), len(manifest["output_frames"])
        limits = {key: float(manifest["limits"][precision][key]) for key in ("mean_mm", "p99_mm")}
        float32_nodes = [str(name) for name in manifest["graphs"][precision].get("float32_nodes", [])]
        if not np.isfinite([*limits.values()]).all():
            raise ValueError("a limit of {}".format(limits))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Refused("manifest.json: {!r} is missing or malformed".format(error)) from error
    for name in names:
        if not isinstance(name, str) or name not in manifest["files"]:
            raise Refused("manifest.json: vouches for no {}".format(name))
    check_label(folder / names[0], precision)
    keypoints, poses = read_samples(folder / names[1], (frames, JOINTS, manifest.get("channels", 2)), frames_out)
    return Bundle(manifest, precision, folder / names[0], keypoints, poses, limits, float32_nodes)


def read_manifest(path: Path) -> Dict[str, Any]:
    """Read the manifest far enough to know that it is one."""
    if not path.is_file():
        raise Refused("{}: missing; run.py belongs inside a bundle".format(path))
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found, tables = manifest["format"], (manifest["files"], manifest["graphs"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("{}: not a bundle manifest ({!r})".format(path, error)) from error
    if found != FORMAT:
        raise Refused("{}: bundle format {!r}, this runner reads {}".format(path, found, FORMAT))
    if not all(isinstance(table, dict) for table in tables):
        raise Refused("{}: not a bundle manifest: files and graphs should be tables".format(path))
    return dict(manifest)


def check_file(folder: Path, name: str, wanted: str) -> None:
    """Refuse a file that does not lie in the bundle itself, or is not what the manifest says."""
    path = folder / name
    if name in ("", ".", "..") or len(name.encode("utf-8", "replace")) > 255 or any(letter in name for letter in "/\\\0"):
        raise Refused("manifest.json: {!r} is no name of a file in the bundle".format(name))
    if not path.is_file():
        raise Refused("{}: missing; copy the bundle again".format(path))
    if path.resolve().parent != folder.resolve():
        raise Refused("{}: leads out of the bundle; put the file itself there".format(path))
    found = sha256_of(path)
    if found != wanted:
        raise Refused("{}: damaged: SHA-256 {}..., not {}...; copy the bundle again".format(path, found[:12], str(wanted)[:12]))


def check_label(graph: Path, precision: str) -> None:
    """Refuse a graph of another precision than the manifest says; one without metadata only shows whether it is quantized."""
    try:
        content = graph.read_bytes()
        told = model_metadata(content).get("poseedge.precision")
        quantized = any(operator in ("QuantizeLinear", "DequantizeLinear") for _, operator, _ in nodes_of(content))
    except (ValueError, IndexError) as error:
        raise Refused("{}: no ONNX file; copy the bundle again".format(graph)) from error
    if told != json.dumps(precision) if told else quantized != precision.startswith("int8"):
        found = told or ("int8" if quantized else "float")
        raise Refused("{}: is a graph in {}, and manifest.json calls it {}".format(graph, found, precision))


def read_samples(path: Path, window: Tuple[int, int, int], frames_out: int) -> Tuple[Any, Any]:
    """Return the sample windows (N, T, 17, C) and their reference poses (N, T_out, 17, 3)."""
    try:
        with np.load(str(path), allow_pickle=False) as arrays:
            keypoints, poses = arrays["keypoints"], arrays["poses_m"]
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Refused("{}: no sample windows in it ({})".format(path, error)) from error
    for name, array, shape in (("keypoints", keypoints, window), ("poses_m", poses, (frames_out, JOINTS, 3))):
        if array.shape[1:] != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            wanted = "finite float32 (N, {}, {}, {})".format(*shape)
            raise Refused("{}: {} is {} {}, wanted {}".format(path, name, array.dtype, array.shape, wanted))
    if not len(keypoints) or len(keypoints) != len(poses):
        raise Refused("{}: {} windows and {} poses".format(path, len(keypoints), len(poses)))
    return keypoints, poses


def pose_output(shapes: Dict[str, Tuple[Any, ...]], bundle: Bundle) -> str:
    """Return the name of the output that is the pose (.., T_out, 17, 3)."""
    wanted = bundle.poses.shape[1:]
    found = [name for name, shape in shapes.items() if shape[-3:] == wanted]
    if len(found) != 1:
        raise Refused("{}: gives {}, no single pose (.., {}, {}, {})".format(bundle.graph, shapes, *wanted))
    return found[0]
