#!/usr/bin/env python3
"""Build, verify and time this bundle on the device at hand.

    python3 run.py --precision fp16

Written into every bundle as ``run.py``. Needs Python 3.6 and numpy, then TensorRT and pycuda as JetPack brings
them, or ONNX Runtime where there is no TensorRT; nothing of poseedge. Exit status: 0 the poses agree with the
reference within the bundle's limits, 1 they do not, 2 it could not be run.
"""

import argparse
import ctypes
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections import deque
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np


# --- How TensorRT is told about precision -----------------------------------------------------------------------------

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")
MIXED = "int8-fp16"  # INT8 products in a half-precision graph, for TensorRT where strongly typed
NO_INT8 = {(5, 3): "Jetson Nano", (6, 2): "Jetson TX2"}  # compute capabilities without INT8 hardware
OBEY = "OBEY_PRECISION_CONSTRAINTS"
# What stays in FP32 beside FP16 and INT8 must be FP32: TF32 has FP16's mantissa, and is on from the start.
ALWAYS_OFF = ("TF32",)


class Route(NamedTuple):
    """How this TensorRT is told about precision."""

    typing: str  # "strong": strongly typed; "weak": builder flags allow lower ones
    network_flags: int
    enable: Tuple[str, ...]  # builder flags
    disable: Tuple[str, ...]


def strongly_typed(trt: Any) -> bool:
    """Say whether strong typing is complete in this TensorRT (from 10.12) or the only way (from 11)."""
    # A call that came with 10.13 marks the versions of the Jetsons where strong typing is complete.
    return hasattr(trt.Builder, "build_serialized_network_to_stream") or not hasattr(trt.BuilderFlag, "FP16")


def suited(trt: Any, precision: str, held: Any) -> str:
    """Return which of the graphs ``held`` to take: with strong typing the rest of a plain INT8 graph would run in FP32."""
    return MIXED if precision == "int8" and MIXED in held and strongly_typed(trt) else precision


def basic_route(trt: Any, precision: str) -> Route:
    """Choose by what this TensorRT has: strong typing wherever it is complete."""
    return strong_route(trt) if strongly_typed(trt) else weak_route(trt, precision)


def strong_route(trt: Any) -> Route:
    """The network is strongly typed; without the flags for weak typing that is so anyway."""
    optional = hasattr(trt.BuilderFlag, "FP16")
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if optional else 0
    return Route("strong", flags, (), ALWAYS_OFF)


def weak_route(trt: Any, precision: str) -> Route:
    """Builder flags say what is allowed; 8.x parses no ONNX without EXPLICIT_BATCH, 10.x ignores it."""
    enable: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    return Route("weak", flags, enable[precision], ALWAYS_OFF)


# --- What the person is told, and why something is refused ------------------------------------------------------------

class Refused(Exception):
    """Bad input, or a device that cannot do it: one line that says what and why."""


def note(text: str) -> None:
    """Tell the person something that belongs to no report."""
    print("run.py: " + text, file=sys.stderr, flush=True)


# --- Files: hashes, atomic writes, and one process at a time in a folder ----------------------------------------------

def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=str(path.absolute().parent), prefix="." + path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp gives a name, not a Path
        os.replace(name, str(path))  # noqa: PTH105
    except BaseException as error:
        os.unlink(name)  # noqa: PTH108
        if isinstance(error, OSError):  # which does not say where a disk is full
            raise Refused("{}: {}".format(path, error.strerror)) from error
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block; the lock is on the folder itself and dies with its process."""
    import fcntl  # not on Windows, where there is no TensorRT for a Jetson's bundle either

    handle = os.open(str(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another process builds in {}; waiting for it".format(folder))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# --- The nodes and metadata of an ONNX file, read without onnx, which a device may not have, and without the weights --

GRAPH, METADATA, NODE = 7, 14, 1  # ModelProto.graph and .metadata_props, GraphProto.node
OUTPUT, NAME, OPERATOR = TOLD = 2, 3, 4  # of a NodeProto
FIXED_BYTES = {1: 8, 5: 4}  # of the protobuf wire types that have a length of their own


class NodeHeader(NamedTuple):
    """What is needed of a NodeProto."""

    name: str
    operator: str
    outputs: Tuple[str, ...]


def nodes_of(content: Any) -> List[NodeHeader]:
    """Return the nodes of a serialized ONNX model in order; raises ``ValueError`` or ``IndexError`` if it is none."""
    nodes = []
    for _, start, end in fields_of(content, 0, len(content), (GRAPH,)):
        for _, first, last in fields_of(content, start, end, (NODE,)):
            texts = [
                (field, text_of(content, *part)) for field, *part in fields_of(content, first, last, (OUTPUT, NAME, OPERATOR))
            ]
            single = dict(texts)
            outputs = tuple(text for field, text in texts if field == OUTPUT)
            nodes.append(NodeHeader(single.get(NAME, ""), single.get(OPERATOR, ""), outputs))
    return nodes


def makers_of(content: Any, names: Iterable[str]) -> Dict[str, str]:
    """Return, for each tensor that one of the nodes ``names`` makes, that node."""
    wanted = set(names)
    return {output: node.name for node in nodes_of(content) if node.name in wanted for output in node.outputs if output}


def model_metadata(content: Any) -> Dict[str, str]:
    """Return the metadata of a serialized ONNX model; raises as ``nodes_of`` does."""
    found = {}
    for _, start, end in fields_of(content, 0, len(content), (METADATA,)):
        entry = {field: text_of(content, *part) for field, *part in fields_of(content, start, end, (1, 2))}
        found[entry.get(1, "")] = entry.get(2, "")  # StringStringEntryProto.key and .value
    return found


def text_of(content: Any, start: int, end: int) -> str:
    """Return the text that stands there."""
    return str(content[start:end], "utf-8", "replace")


def fields_of(content: Any, at: int, end: int, wanted: Tuple[int, ...]) -> Iterator[Tuple[int, int, int]]:
    """Yield number, start and end of those ``wanted`` of the length-delimited fields of the message from ``at`` to ``end``."""
    while at < end:
        key, at = read_varint(content, at)
        kind, size = key & 7, FIXED_BYTES.get(key & 7, 0)
        if kind in (0, 2):
            value, at = read_varint(content, at)
            size = value if kind == 2 else 0
        elif kind not in FIXED_BYTES:
            raise ValueError("wire type {}".format(kind))
        if at + size > end:
            raise ValueError("it ends within a field")
        if kind == 2 and key >> 3 in wanted:
            yield key >> 3, at, at + size
        at += size


def read_varint(content: Any, at: int) -> Tuple[int, int]:
    """Return the protobuf integer at ``at`` and where it ends."""
    value = shift = 0
    while shift < 64:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 64 bits")


# --- One precision of a bundle, read and checked against its manifest -------------------------------------------------

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


# --- Device 0 and its primary context, through pycuda -----------------------------------------------------------------

NON_BLOCKING = 1  # a stream that waits for no work on CUDA's legacy stream, and does not disturb others' while it captures


@contextmanager
def primary_context(cuda: Any) -> Iterator[Tuple[Any, Any]]:
    """Yield device 0 and its primary context, which is current; CUDA's errors become one line."""
    try:
        cuda.init()
        device = cuda.Device(0)
        context = device.retain_primary_context()
        context.push()
    except cuda.Error as error:
        raise Refused("no usable CUDA device: {}".format(error)) from error
    try:
        yield device, context
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # what they hold of TensorRT must go before the context
        if isinstance(error, cuda.Error):
            raise Refused("CUDA failed: {}".format(error)) from error
        raise
    finally:
        release_primary(context)


def release_primary(context: Any) -> None:
    """Let go of a primary context that was pushed last, in any thread.

    pycuda takes one that is merely dropped for one of its own making, and on detaching leaves it on the driver's stack:
    ``cuDevicePrimaryCtxRelease`` pops nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libcuda.so.1").cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    context.detach()


# --- TensorRT's log and the parser's errors ---------------------------------------------------------------------------

def make_log(trt: Any) -> Any:
    """Return a TensorRT logger that keeps the errors, and register TensorRT's own plugins with it.

    TensorRT may call it from any thread. 8.x and 10.x scatter through a plugin, in a plan that is loaded too.
    """
    serious = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Log(trt.ILogger):  # type: ignore[misc]  # a class of a module that is found at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in serious:
                self.errors.append(msg)

        def words(self) -> str:
            return "TensorRT says: " + ("; ".join(self.errors[-3:]) or "nothing")

    log = Log()
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(log, "")
    return log


def parser_words(parser: Any, graph: Path, log: Any) -> str:
    """Return the parser's errors, each with its node's name and operator."""
    lines = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        if hasattr(error, "node_name"):
            name, operator = error.node_name(), error.node_operator()
        else:
            nodes = nodes_of(graph.read_bytes())
            name, operator = nodes[error.node()][:2] if 0 <= error.node() < len(nodes) else ("", "")
        lines.append("node {!r} ({}): {}".format(name, operator, error.desc()) if operator else error.desc())
    return "; ".join(lines) or log.words()


# --- Where keypoints and poses lie for the GPU: copied to and from its own memory, or in host memory that is mapped into it 

COHERENT_FROM = (7, 2)
COPIED, MAPPED = "copied", "mapped"
TRIED, BLOCKS = 25, 8  # runs in a block, blocks each way
TRIED_S = 0.5  # after which no block begins


def shares_memory(cuda: Any, device: Any) -> bool:
    """As ``may_be_mapped``, of a device of pycuda."""
    known = cuda.device_attribute
    shared = (device.get_attribute(kind) for kind in (known.INTEGRATED, known.CAN_MAP_HOST_MEMORY))
    return may_be_mapped(device.compute_capability(), *shared)


def may_be_mapped(capability: Any, integrated: Any, maps_host_memory: Any) -> bool:
    """Say whether the GPU shares the processor's memory and its caches, so that nothing need be copied."""
    return bool(integrated) and bool(maps_host_memory) and tuple(capability) >= COHERENT_FROM


def choose_by_time(runs: Dict[str, Callable[[], Any]]) -> Dict[str, Any]:
    """Return which of ``runs`` is the fastest, and what a run took each way, in ms: medians of blocks in turn.

    Of those that give other poses than the first, bit for bit, none is taken.
    """
    names = list(runs)
    first, *others = names
    wanted = runs[first]()
    allowed = [first] + [name for name in others if np.array_equal(runs[name](), wanted)]
    spent: Dict[str, List[float]] = {name: [] for name in allowed}
    start = time.monotonic()
    while len(spent[first]) < BLOCKS and (not spent[first] or time.monotonic() - start < TRIED_S):
        for name in allowed:
            spent[name].append(float(np.median([timed_ms(runs[name]) for _ in range(TRIED)])))
    found = {name: float(np.median(spent[name])) for name in allowed}
    chosen = min(allowed, key=lambda name: found[name])
    report: Dict[str, Any] = {"chosen": chosen}
    report.update({name + "_ms": found.get(name) for name in names})
    return report


def timed_ms(run: Callable[[], Any]) -> float:
    """Return how long a run took."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def memory_words(memory: Dict[str, Any]) -> str:
    """Say what was chosen."""
    copied, mapped = memory[COPIED + "_ms"], memory[MAPPED + "_ms"]
    if mapped is None:
        return "keypoints and poses copied: from memory mapped into the GPU they come out otherwise"
    words = "keypoints and poses {}: {:.4f} ms a call copied, {:.4f} ms mapped into the GPU"
    return words.format(memory["chosen"], copied, mapped)


# --- Layers held in FP32 under weak typing ----------------------------------------------------------------------------

NEVER_PINNED = ("CONSTANT", "SHAPE", "CAST", "IDENTITY", "QUANTIZE", "DEQUANTIZE")  # precision means nothing to them


def pin(trt: Any, network: Any, makers: Dict[str, str]) -> int:
    """Hold layers in FP32; ``makers`` gives the ONNX node of each tensor that a node to be held makes.

    Returns how many nodes were found. The parser names layers after nodes, but for LayerNormalization in 8.6, which it leaves
    unnamed: there the tensor tells.
    """
    never = {getattr(trt.LayerType, kind) for kind in NEVER_PINNED if hasattr(trt.LayerType, kind)}
    nodes, found = set(makers.values()), set()
    for index in range(network.num_layers if nodes else 0):
        layer = network.get_layer(index)
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        node = layer.name if layer.name in nodes else next((makers[out.name] for out in outputs if out.name in makers), None)
        if node is None or layer.type in never:
            continue
        layer.precision = trt.float32
        for number, output in enumerate(outputs):
            if output.dtype in (trt.float32, trt.float16):  # TopK gives indices too
                layer.set_output_type(number, trt.float32)
        found.add(node)
    return len(found)


# --- From graph to plan -----------------------------------------------------------------------------------------------

def build_plan(trt: Any, log: Any, graph: Path, route: Route, pinned: List[str], workspace_mib: int) -> bytes:
    """Return the serialized engine of ``graph`` with the nodes ``pinned`` held in FP32."""
    builder = trt.Builder(log)
    network = builder.create_network(route.network_flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        raise Refused("{}: TensorRT {} cannot read it: {}".format(graph, trt.__version__, parser_words(parser, graph, log)))
    found = pin(trt, network, makers_of(graph.read_bytes(), pinned)) if pinned else 0
    if found < len(pinned):
        note("only {} of {} nodes that should stay in FP32 were found".format(found, len(pinned)))
    config = builder.create_builder_config()
    for name in route.enable:
        config.set_flag(getattr(trt.BuilderFlag, name))
    for name in route.disable:
        config.clear_flag(getattr(trt.BuilderFlag, name))
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    else:
        config.max_workspace_size = workspace_mib << 20
    if hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 0  # one stream, so that its events see all of the work
    add_profile(builder, network, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        hint = "a larger --workspace-mib may help"
        raise Refused("{}: TensorRT {} cannot build it ({}): {}".format(graph, trt.__version__, hint, log.words()))
    return bytes(plan)


def add_profile(builder: Any, network: Any, config: Any) -> None:
    """Fix a free batch at one window."""
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape:
            profile = builder.create_optimization_profile()
            one = (1, *shape[1:])
            profile.set_shape(tensor.name, one, one, one)
            if config.add_optimization_profile(profile) < 0:
                raise Refused("TensorRT refuses the shape {} for input {}".format(one, tensor.name))


# --- What an engine was built for, compared with what is here ---------------------------------------------------------

MAY_BE_UNKNOWN = ("board", "gpu", "sms", "memory_gib")


def differences(built: Dict[str, Any], wanted: Dict[str, Any]) -> List[str]:
    """Return the keys in which ``built`` is not what is ``wanted``; unknown is unknown, not different."""
    unequal = [key for key, value in wanted.items() if built.get(key) != value]
    return [key for key in unequal if key not in MAY_BE_UNKNOWN or None not in (built.get(key), wanted[key])]


# --- The machine: board, system, power mode ---------------------------------------------------------------------------

BOARD_FILES = (Path("/proc/device-tree/model"), Path("/tmp/nv_jetson_model"))
BOARD_VARIABLE = "JETSON_MODEL"  # as jetson-stats exports it
RELEASE_FILE = Path("/etc/nv_tegra_release")


def board() -> Optional[str]:
    """Return the Jetson board's name; None where it is unknown: on another machine, or in a container that was not told."""
    known = [first_line(path) for path in BOARD_FILES] + [os.environ.get(BOARD_VARIABLE)]
    return next((name for name in known if name), None)


def module_memory_gib(total_bytes: int) -> int:
    """Return the memory that a module is sold with, the next power of two: what the system keeps of it varies by release."""
    return 1 << (max(total_bytes - 1, 0) >> 30).bit_length()


def first_line(path: Path) -> Optional[str]:
    """Return the first line of a small system file, None if it cannot be read."""
    try:
        return path.read_text(errors="replace").rstrip("\0\n").split("\n")[0]
    except OSError:
        return None


def power_mode() -> Optional[str]:
    """Return what nvpmodel says of the power mode: no Jetson time means anything without it."""
    if shutil.which("nvpmodel") is None:
        return None
    found = subprocess.run(["nvpmodel", "-q"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    return " ".join(found.stdout.split()) or None


# --- An engine's file and what is known of it -------------------------------------------------------------------------

class PlanFile:
    """The engine's file, with a JSON file beside it that says what it was built from and for."""

    def __init__(self, trt: Any, cuda: Any, log: Any, bundle: Bundle, device: Any, options: argparse.Namespace) -> None:
        capability = device.compute_capability()
        if bundle.precision in ("int8", MIXED) and capability in NO_INT8:
            raise Refused("int8: {} (sm_{}{}) has no INT8 hardware; use fp16".format(NO_INT8[capability], *capability))
        if bundle.precision == MIXED and not strongly_typed(trt):
            raise Refused("{}: TensorRT {} takes precision from builder flags; use int8".format(MIXED, trt.__version__))
        self.trt, self.log, self.graph = trt, log, bundle.graph
        self.route = basic_route(trt, bundle.precision)
        self.pinned: List[str] = []
        if self.route.typing == "weak" and bundle.precision != "fp32" and bundle.float32_nodes:
            self.route, self.pinned = self.route._replace(enable=(*self.route.enable, OBEY)), bundle.float32_nodes
        self.workspace_mib, self.rebuild = options.workspace_mib, options.rebuild
        self.identity = {
            "onnx_sha256": bundle.manifest["files"][bundle.graph.name],
            "tensorrt": trt.__version__,
            "cuda": ".".join(str(number) for number in cuda.get_version()[:2]),
            "cuda_driver": cuda.get_driver_version(),
            "sm": "sm_{}{}".format(*capability),
            "gpu": device.name(),
            "board": board(),
            "sms": device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            "memory_gib": module_memory_gib(device.total_memory()),
            "flags": dict(self.route._asdict(), enable=list(self.route.enable), disable=list(self.route.disable)),
            "pinned_nodes": len(self.pinned),
            "workspace_mib": options.workspace_mib,
        }
        stem = "{}.{tensorrt}.{sm}".format(bundle.graph.stem, **self.identity)
        self.folder = bundle.graph.parent
        if options.engines:  # names repeat from bundle to bundle, graphs do not
            self.folder = options.engines.absolute() / self.identity["onnx_sha256"][:16]
            self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / (stem + ".plan")
        self.sidecar = self.folder / (stem + ".json")
        self.build_s: Optional[float] = None  # None: it was loaded

    def open(self, runtime: Any) -> Any:
        """Return the engine: loaded if the plan fits, else built and written; one process at a time does so in a folder."""
        with locked(self.folder):
            return self.open_alone(runtime)

    def open_alone(self, runtime: Any) -> Any:
        """As ``open``, while no other process builds here: two at once would disturb each other's kernel timings."""
        plan = None if self.rebuild else self.read()
        engine = None if plan is None else runtime.deserialize_cuda_engine(plan)
        if engine is not None:
            return engine
        if plan is not None:
            note("{}: {}; building it again".format(self.path.name, self.log.words()))
        engine = runtime.deserialize_cuda_engine(self.build())
        if engine is None:
            raise Refused("{}: built, but it cannot be loaded: {}".format(self.path, self.log.words()))
        return engine

    def read(self) -> Optional[bytes]:
        """Return the plan if it is whole and was built from this graph for this device, else None."""
        try:
            known = json.loads(self.sidecar.read_text(encoding="utf-8"))
            plan = self.path.read_bytes()
        except (OSError, ValueError):
            return None
        wanted = dict(self.identity, plan_sha256=hashlib.sha256(plan).hexdigest())
        other = differences(known, wanted) if isinstance(known, dict) else ["everything"]
        if other:
            note("{}: not used, it differs in {}; building it again".format(self.path.name, ", ".join(other)))
            return None
        tuned_for = known.get("power_mode")
        if tuned_for != power_mode():
            note("{}: was built in power mode {}; --rebuild tunes it for this one".format(self.path.name, tuned_for))
        return plan

    def build(self) -> bytes:
        """Build the plan and write it with its sidecar."""
        if not os.access(str(self.folder), os.W_OK):  # to be known before a build of minutes
            raise Refused("{}: cannot be written to; keep the engine elsewhere with --engines FOLDER".format(self.folder))
        note("building {}; this takes minutes on a small board".format(self.path.name))
        del self.log.errors[:]
        start = time.perf_counter()
        plan = build_plan(self.trt, self.log, self.graph, self.route, self.pinned, self.workspace_mib)
        self.build_s = time.perf_counter() - start
        write_atomically(self.path, plan)
        facts = dict(self.identity, plan_sha256=hashlib.sha256(plan).hexdigest(), build_s=self.build_s, power_mode=power_mode())
        write_atomically(self.sidecar, json.dumps(facts, indent=2).encode() + b"\n")
        return plan


# --- CUDA graphs, captured through the driver's C interface: pycuda binds none ----------------------------------------

class CudaGraphError(Exception):
    """The driver cannot capture or replay this network."""


class CudaGraph:
    """One captured start of the network, to be replayed."""

    def __init__(self, driver: Any, stream: int, enqueue: Callable[[], bool]) -> None:
        self.driver, self.stream, self.executable = driver, ctypes.c_void_p(stream), ctypes.c_void_p()
        captured = ctypes.c_void_p()
        thread_local = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' calls do not disturb
        self.check(driver.cuStreamBeginCapture_v2(self.stream, thread_local), "cuStreamBeginCapture")
        started = enqueue()
        self.check(driver.cuStreamEndCapture(self.stream, ctypes.byref(captured)), "cuStreamEndCapture")
        try:
            if not started:
                raise CudaGraphError("TensorRT does not start this network under capture")
            self.check(self.instantiate(captured), "cuGraphInstantiate")
        finally:
            driver.cuGraphDestroy(captured)

    def instantiate(self, captured: ctypes.c_void_p) -> int:
        """Make the captured graph executable; the three-argument call came with CUDA 11.4."""
        if hasattr(self.driver, "cuGraphInstantiateWithFlags"):
            return int(self.driver.cuGraphInstantiateWithFlags(ctypes.byref(self.executable), captured, ctypes.c_ulonglong(0)))
        return int(self.driver.cuGraphInstantiate(ctypes.byref(self.executable), captured, None, None, ctypes.c_size_t(0)))

    def launch(self) -> None:
        """Replay it on the stream that it was captured on; raises ``CudaGraphError`` with CUDA's status."""
        self.check(self.driver.cuGraphLaunch(self.executable, self.stream), "cuGraphLaunch")

    def close(self) -> None:
        """Release the executable graph."""
        self.driver.cuGraphExecDestroy(self.executable)

    def check(self, status: int, call: str) -> None:
        """Raise if the driver refused ``call``."""
        if status != 0:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorString(status, ctypes.byref(text))
            words = (text.value or b"unknown").decode()
            raise CudaGraphError("{} returned CUDA error {}: {}".format(call, status, words))


# --- An engine's inputs and outputs -----------------------------------------------------------------------------------

class BindingApi:
    """Inputs and outputs by number: TensorRT before 8.5."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self.engine, self.context = engine, context
        self.names = [engine.get_binding_name(index) for index in range(engine.num_bindings)]
        self.inputs = [name for index, name in enumerate(self.names) if engine.binding_is_input(index)]
        self.addresses = [0] * len(self.names)

    def set_shape(self, name: str, shape: Tuple[int, ...]) -> None:
        """Fix a free input shape."""
        self.context.set_binding_shape(self.names.index(name), shape)

    def tensor(self, name: str) -> Tuple[Any, Tuple[int, ...]]:
        """Return (TensorRT type, shape) once the input shapes are fixed."""
        index = self.names.index(name)
        return self.engine.get_binding_dtype(index), tuple(self.context.get_binding_shape(index))

    def bind(self, name: str, address: int) -> bool:
        """Give a tensor its device memory."""
        self.addresses[self.names.index(name)] = address
        return True

    def enqueue(self, stream: int) -> bool:
        """Start the network on a CUDA stream."""
        return bool(self.context.execute_async_v2(bindings=self.addresses, stream_handle=stream))


class TensorApi:
    """Inputs and outputs by name: TensorRT from 8.5."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self.engine, self.context = engine, context
        self.names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.inputs = [name for name in self.names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]

    def set_shape(self, name: str, shape: Tuple[int, ...]) -> None:
        """Fix a free input shape."""
        self.context.set_input_shape(name, shape)

    def tensor(self, name: str) -> Tuple[Any, Tuple[int, ...]]:
        """Return (TensorRT type, shape) once the input shapes are fixed."""
        return self.engine.get_tensor_dtype(name), tuple(self.context.get_tensor_shape(name))

    def bind(self, name: str, address: int) -> bool:
        """Give a tensor its device memory."""
        return bool(self.context.set_tensor_address(name, address))

    def enqueue(self, stream: int) -> bool:
        """Start the network on a CUDA stream."""
        return bool(self.context.execute_async_v3(stream_handle=stream))


def numpy_type(trt: Any, dtype: Any) -> Any:
    """Return the numpy type of a TensorRT type; ``trt.nptype`` of 8.2 breaks with numpy 1.24."""
    for name in ("float32", "float16", "int32", "int8", "bool", "uint8", "int64"):
        if getattr(trt, name, None) == dtype:
            return np.dtype(name)
    raise Refused("tensors of type {} are not supported".format(dtype))


# --- An engine that runs ----------------------------------------------------------------------------------------------

class Buffer(NamedTuple):
    """Page-locked host memory of one tensor, and where it lies for the GPU."""

    host: Any
    address: int
    device: Any  # the GPU's own memory; None: the host memory is mapped into it


class TensorRTRunner:
    """One engine, one CUDA stream, one window at a time; to be used and closed inside ``primary_context``."""

    backend, threads = "tensorrt", None

    def __init__(self, trt: Any, cuda: Any, log: Any, bundle: Bundle, context: Any, plan: PlanFile, mappable: bool) -> None:
        """``mappable``: the GPU shares the processor's memory."""
        self.trt, self.cuda, self.log, self.primary = trt, cuda, log, context
        self.provider = "TensorRT {} {}".format(trt.__version__, plan.identity["sm"])
        self.artefact = plan.path
        self.runtime: Any = None
        self.engine: Any = None
        self.context: Any = None
        self.api: Any = None
        self.graph: Any = None
        self.replaying = True
        self.stream: Any = None
        self.source = ""
        self.pose = ""
        self.started: Any = None
        self.finished: Any = None
        self.buffers: Dict[str, Buffer] = {}
        self.places: Dict[str, Dict[str, Buffer]] = {}  # of keypoints and poses, by how they get to the GPU
        self.place = COPIED
        self.memory: Optional[Dict[str, Any]] = None  # how that was chosen
        self.mappable = mappable
        try:
            self.stream = cuda.Stream(NON_BLOCKING)
            self.started, self.finished = cuda.Event(), cuda.Event()
            self.runtime = trt.Runtime(log)
            self.engine = plan.open(self.runtime)
            self.context = self.engine.create_execution_context()
            if self.context is None:
                raise Refused("no execution context, is the device out of memory? " + log.words())
            self.api = (TensorApi if hasattr(self.engine, "num_io_tensors") else BindingApi)(trt, self.engine, self.context)
            self.allocate(bundle)
        except BaseException:
            self.close()
            raise
        self.details = dict(plan.identity, file=plan.path.name, build_s=plan.build_s)
        self.machine = {key: plan.identity[key] for key in ("gpu", "sm", "sms", "memory_gib", "tensorrt", "cuda_driver")}

    def allocate(self, bundle: Bundle) -> None:
        """Fix the batch at one window and give every tensor its memory."""
        source, shape = self.api.inputs[0], (1, *bundle.keypoints.shape[1:])
        if -1 in self.api.tensor(source)[1]:
            self.api.set_shape(source, shape)
        if self.api.tensor(source)[1] != shape:
            raise Refused("{} does not take the samples' shape {}".format(bundle.graph, shape))
        for name in self.api.names:
            dtype, shape = self.api.tensor(name)
            host = self.cuda.pagelocked_empty(shape, numpy_type(self.trt, dtype))
            device = self.cuda.mem_alloc(host.nbytes)
            self.buffers[name] = Buffer(host, int(device), device)
            self.bind(name, self.buffers[name])
        shapes = {name: self.buffers[name].host.shape for name in self.api.names if name != source}
        self.source, self.pose = source, pose_output(shapes, bundle)
        self.places[COPIED] = {name: self.buffers[name] for name in (self.source, self.pose)}
        self.shape = bundle.poses.shape[1:]

    def bind(self, name: str, buffer: Buffer) -> None:
        """Tell TensorRT where a tensor lies."""
        if not self.api.bind(name, buffer.address):
            raise Refused("TensorRT refuses the memory of {}: {}".format(name, self.log.words()))

    def mapped(self, name: str) -> Buffer:
        """Return host memory for a tensor that the GPU reads and writes itself."""
        like = self.buffers[name].host
        host = self.cuda.pagelocked_empty(like.shape, like.dtype, mem_flags=self.cuda.host_alloc_flags.DEVICEMAP)
        return Buffer(host, int(host.base.get_device_pointer()), None)

    def use(self, place: str) -> None:
        """Let keypoints and poses get to the GPU that way; a CUDA graph of another is none of this one."""
        self.place = place
        for name, buffer in self.places[place].items():
            self.bind(name, buffer)

    def choose_memory(self, window: Any) -> None:
        """Where the GPU shares the processor's memory, take the faster way: copied into its own part, or mapped into it."""
        if not self.mappable:
            return
        try:
            self.places[MAPPED] = {name: self.mapped(name) for name in (self.source, self.pose)}
        except self.cuda.Error as error:
            self.places.pop(MAPPED, None)
            note("no memory is mapped into the GPU: {}".format(error))
            return
        graphs: Dict[str, Any] = {}

        def run(place: str) -> Callable[[], Any]:
            self.use(place)
            self.infer(window)  # TensorRT puts off some of its work to the first run
            self.capture()
            graphs[place], self.graph = self.graph, None

            def again() -> Any:
                self.place, self.graph = place, graphs[place]
                if self.graph is None:
                    self.use(place)
                return self.infer(window)

            return again

        try:
            self.memory = choose_by_time({place: run(place) for place in (COPIED, MAPPED)})
        finally:
            self.graph = None
            for graph in graphs.values():
                if graph is not None:
                    graph.close()
        self.use(self.memory["chosen"])
        self.places = {self.place: self.places[self.place]}

    @property
    def captured(self) -> bool:
        """Whether the network runs as a CUDA graph."""
        return self.graph is not None and self.replaying

    def replay(self, replaying: bool) -> None:
        """Run the CUDA graph, if there is one, or start the network plainly."""
        self.replaying = replaying

    def infer(self, window: Any) -> Any:
        """Lift one window (T, 17, C) to poses (T_out, 17, 3) in metres."""
        source, pose = self.places[self.place][self.source], self.places[self.place][self.pose]
        np.copyto(source.host[0], window)
        if source.device is not None:
            self.cuda.memcpy_htod_async(source.device, source.host, self.stream)
        self.started.record(self.stream)
        self.start()
        self.finished.record(self.stream)
        if pose.device is not None:
            self.cuda.memcpy_dtoh_async(pose.host, pose.device, self.stream)
        self.stream.synchronize()  # mapped memory, too, holds what was before until then
        return pose.host.reshape(self.shape).copy()

    def start(self) -> None:
        """Put the network on the stream."""
        if not self.captured:
            if not self.api.enqueue(self.stream.handle):
                raise Refused("the network could not be started: " + self.log.words())
            return
        try:
            self.graph.launch()
        except CudaGraphError as error:
            raise Refused("the network could not be started: {}".format(error)) from error

    def enter(self) -> None:
        """Make the context current in this thread."""
        self.primary.push()

    def leave(self) -> None:
        """Give this thread back the context that was current before."""
        self.primary.pop()

    def gpu_ms(self) -> float:
        """Return the time of the last run between the events around the network."""
        return float(self.started.time_till(self.finished))

    def capture(self) -> Optional[str]:
        """Replay a CUDA graph from now on; returns the reason if that cannot be."""
        try:
            driver = ctypes.CDLL("libcuda.so.1")
            self.graph = CudaGraph(driver, self.stream.handle, lambda: self.api.enqueue(self.stream.handle))
        except (OSError, AttributeError, CudaGraphError) as error:
            self.settle()
            return str(error)
        return None

    def settle(self) -> None:
        """Run once and look away: the error that a refused capture leaves is told by the next call, which it is not about."""
        with suppress(self.cuda.Error):
            self.api.enqueue(self.stream.handle)
            self.stream.synchronize()
        del self.log.errors[:]

    def close(self) -> None:
        """Release everything in the order that TensorRT needs, while the CUDA context is still current."""
        if self.stream is not None:
            with suppress(self.cuda.Error):  # after a failed run there may be nothing to wait for
                self.stream.synchronize()
        if self.graph is not None:
            self.graph.close()
        self.graph = self.api = None
        self.context = None
        self.engine = None
        self.runtime = None
        for buffer in self.buffers.values():
            buffer.device.free()
        self.buffers, self.places = {}, {}
        self.started = self.finished = self.stream = None


# --- A graph that runs in ONNX Runtime --------------------------------------------------------------------------------

class OnnxRuntimeRunner:
    """The bundle's graph in ONNX Runtime on one CPU thread."""

    backend, provider, threads, captured = "onnxruntime", "CPUExecutionProvider", 1, False
    memory = None

    def __init__(self, ort: Any, bundle: Bundle) -> None:
        self.artefact = bundle.graph
        self.details = None
        self.machine = {"onnxruntime": ort.__version__}
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = self.threads
        settings.log_severity_level = 3
        self.shape = bundle.poses.shape[1:]
        try:
            self.session = ort.InferenceSession(str(bundle.graph), settings, providers=[self.provider])
            known = self.session.get_modelmeta().custom_metadata_map
            disabled = json.loads(known.get("poseedge.ort_disabled_optimizers", "[]"))
            if disabled:  # the exporter found that these change this graph's result
                self.session = ort.InferenceSession(
                    str(bundle.graph), settings, providers=[self.provider], disabled_optimizers=disabled
                )
            shapes = {output.name: tuple(output.shape) for output in self.session.get_outputs()}
            self.input, self.output = self.session.get_inputs()[0].name, pose_output(shapes, bundle)
            self.infer(bundle.keypoints[0])
        except Refused:
            raise
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            raise Refused("{}: ONNX Runtime cannot run it: {}".format(bundle.graph, error)) from error

    def infer(self, window: Any) -> Any:
        """Lift one window (T, 17, C) to poses (T_out, 17, 3) in metres."""
        return self.session.run([self.output], {self.input: window[None]})[0].reshape(self.shape)

    def choose_memory(self, window: Any) -> None:
        """There is one memory."""

    def replay(self, replaying: bool) -> None:
        """There is one way to run it."""

    def enter(self) -> None:
        """Any thread may run it."""

    def leave(self) -> None:
        """Nothing was entered."""

    def gpu_ms(self) -> None:
        """No GPU is involved."""

    def capture(self) -> str:
        """No CUDA graph, and nothing to say of it."""
        return ""


# --- The backend that was asked for, or the best one that is installed ------------------------------------------------

PYCUDA = (((3, 6), "<2021.1"), ((3, 8), "<2024.1.1"))
NUMPY_HINT = "; built against another numpy: pip3 install 'pycuda<2024.1.1', or pip3 install numpy==1.24.4 before pycuda"


@contextmanager
def open_runner(bundle: Bundle, options: argparse.Namespace, trt: Any) -> Iterator[Any]:
    """Yield the runner of the backend that was asked for, or of the best one that is installed."""
    if trt is not None:
        cuda = optional_module("pycuda.driver")
        if cuda is None:
            raise Refused("TensorRT {} is installed but pycuda is not: {}".format(trt.__version__, install_pycuda()))
        with primary_context(cuda) as (device, context):
            log = make_log(trt)
            plan = PlanFile(trt, cuda, log, bundle, device, options)
            with closing(TensorRTRunner(trt, cuda, log, bundle, context, plan, shares_memory(cuda, device))) as runner:
                yield runner
        return
    if options.backend == "tensorrt":
        raise Refused("TensorRT is not installed for {}; on a Jetson it comes with JetPack".format(sys.executable))
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: ONNX Runtime reports to Microsoft
    ort = optional_module("onnxruntime")
    if ort is None:
        raise Refused("neither TensorRT nor ONNX Runtime is installed for {}".format(sys.executable))
    if options.backend is None:
        note("TensorRT is not installed here; ONNX Runtime runs on the CPU instead")
    yield OnnxRuntimeRunner(ort, bundle)


def tensorrt_for(backend: Optional[str]) -> Any:
    """Return the module if it is installed and may be used; there may be type stubs alone."""
    trt = None if backend == "onnxruntime" else optional_module("tensorrt")
    return trt if hasattr(trt, "Builder") else None


def optional_module(name: str) -> Any:
    """Import ``name``, or return None if it is not installed; one that is but does not load says why."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (name, name.split(".")[0]):
            return None
        hint = NUMPY_HINT if "numpy" in str(error) and name.startswith("pycuda") else ""
        raise Refused("{} is installed but cannot be imported: {}{}".format(name, error, hint)) from error


def install_pycuda() -> str:
    """Return the command that installs a pycuda that works with the numpy which JetPack brings to this Python."""
    newest = next((below for python, below in PYCUDA if sys.version_info[:2] <= python), "")
    return "export PATH=/usr/local/cuda/bin:$PATH && pip3 install 'pycuda{}'".format(newest)


# --- Power by rail: the INA3221 that Jetson boards carry, read from sysfs without root, and what counts as the total --

INA3221 = "sys/bus/i2c/drivers"
# Boards with a rail for the whole module: Nano; TX2, Xavier NX, Orin Nano and NX; Thor. Else the rails are summed.
WHOLE = ("POM_5V_IN", "VDD_IN", "VIN")


def read_rails(root: Path = Path("/")) -> Dict[str, float]:
    """Return the power of each rail in mW, none where there is no sensor; each value takes an I2C transaction."""
    return {name: power for name, power in found_rails(root / INA3221) if power is not None and is_connected(name)}


def found_rails(drivers: Path) -> Iterator[Tuple[str, Optional[float]]]:
    """Yield name and power of each channel: as hwmon writes them (JetPack 5 and later), and as iio does (JetPack 4)."""
    for label in sorted(drivers.glob("ina3221/*/hwmon/hwmon*/in*_label")):
        channel = label.name[2 : -len("_label")]
        voltage, current = (read_number(label.with_name(name.format(channel))) for name in ("in{}_input", "curr{}_input"))
        both = voltage is not None and current is not None
        yield first_line(label) or "", voltage * current / 1000 if both else None  # type: ignore[operator]  # mV, mA
    for label in sorted(drivers.glob("ina3221x/*/iio:device*/rail_name_*")):
        yield first_line(label) or "", read_number(label.with_name("in_power{}_input".format(label.name.rpartition("_")[2])))


def is_connected(name: str) -> bool:
    """Say whether a channel is a rail: others are called NC, or are the chip's own sum."""
    return bool(name) and name != "NC" and "sum of" not in name


def read_number(path: Path) -> Optional[float]:
    """Return the number that a system file holds."""
    try:
        return float(first_line(path) or "")
    except ValueError:
        return None


def total_mw(rails: Dict[str, float]) -> Optional[float]:
    """Return the module's power: its input rail, else the sum of all; None without rails."""
    for name in WHOLE:
        if name in rails:
            return rails[name]
    return sum(rails.values()) if rails else None


def total_is(rails: Dict[str, float]) -> str:
    """Return what the total consists of, to be said with it."""
    whole = [name for name in WHOLE if name in rails]
    return whole[0] if whole else " + ".join(sorted(rails)) + ", without the carrier board" if rails else ""


# --- Clocks, governor and temperatures of the GPU, and what makes times say little ------------------------------------

GPU_NAMES = re.compile(r"gpu|ga10b|gv11b|gp10b|gm20b")
QUERY = ("power.draw", "clocks.sm", "clocks.max.sm", "temperature.gpu", "clocks_throttle_reasons.active")
SLOWED = 0x8 | 0x20 | 0x40  # NVML: hardware slowdown, thermal slowdown by software and by hardware
LOCK = "sudo jetson_clocks fixes the clocks"
STEADY = 0.95  # of the highest clock


def gpu_state(root: Path = Path("/")) -> Dict[str, Any]:
    """Return what is known now: clocks in MHz, governor, temperatures in degrees Celsius, power mode, throttling."""
    state = {"power_mode": power_mode(), "temperatures_c": temperatures(root)}  # type: Dict[str, Any]
    state.update(tegra_clocks(root) or workstation_state() or {})
    return state


def tegra_clocks(root: Path) -> Optional[Dict[str, Any]]:
    """Return the clocks of a Jetson's GPU, None on another machine."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if GPU_NAMES.search(device.name):
            found = {"gpu_{}_mhz".format(kind): mhz(device / (kind + "_freq")) for kind in ("cur", "min", "max")}
            return dict(found, governor=first_line(device / "governor"))
    return None


def mhz(path: Path) -> Optional[float]:
    """Return a frequency that a system file holds in Hz."""
    found = read_number(path)
    return None if found is None else found / 1e6


def temperatures(root: Path) -> Dict[str, float]:
    """Return the thermal zones by name; a block that is powered off has none, or an impossible one."""
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value, name = read_number(zone / "temp"), (first_line(zone / "type") or "").lower()
        if value is not None and value > -100000 and "pmic" not in name:
            found[re.split("[-_]", name)[0]] = value / 1000
    return found


def workstation_state() -> Optional[Dict[str, Any]]:
    """Return what nvidia-smi says of the first GPU, None where there is none; Orin's says next to nothing."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=" + ",".join(QUERY), "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    cells = [cell.strip() for cell in done.stdout.strip().split(",")]
    if done.returncode or len(cells) != len(QUERY):
        return None
    power, clock, highest, heat = (number_or_none(cell) for cell in cells[:4])
    reasons = int(cells[4], 16) if re.match("0x[0-9a-fA-F]+$", cells[4]) else 0
    state = {"gpu_cur_mhz": clock, "gpu_max_mhz": highest, "throttled": bool(reasons & SLOWED)}  # type: Dict[str, Any]
    state["power_mw"] = None if power is None else 1000 * power
    if heat is not None:
        state["temperatures_c"] = {"gpu": heat}
    return state


def number_or_none(text: str) -> Optional[float]:
    """Return the number that ``text`` is."""
    try:
        return float(text)
    except ValueError:  # [Not Supported]
        return None


def doubts(before: Dict[str, Any], after: Dict[str, Any]) -> List[str]:
    """Return why times between these two states say little, with what mends it."""
    found = []
    clocks = [after.get("gpu_{}_mhz".format(kind)) for kind in ("cur", "min", "max")]
    if None not in clocks:
        now, low, high = (float(clock or 0) for clock in clocks)
        if low != high:
            found.append("the GPU's clock may vary from {:.0f} to {:.0f} MHz: {}".format(low, high, LOCK))
        elif now < STEADY * high:
            found.append("throttled: the GPU runs at {:.0f} of {:.0f} MHz; cool it".format(now, high))
    if after.get("throttled"):
        found.append("throttled: the driver slows the GPU down for its heat; cool it")
    if before.get("power_mode") != after.get("power_mode"):
        found.append("the power mode changed meanwhile, from {power_mode} to ".format(**before) + str(after["power_mode"]))
    return found


# --- Lines of tegrastats, of every board and release: tokens are read, never positions --------------------------------

MEMORY = re.compile(r"\b(?:RAM|SWAP|IRAM) \d+/\d+[kM]B ?\([^)]*\)")
PROCESSORS = re.compile(r"\bCPU \[[^\]]*\]")
RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?:/\d+(?:mW)?)?(?=\s|$)")
TEMPERATURE = re.compile(r"(?<!\S)([A-Za-z][\w.-]*)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?(?=\s|$)")
GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+(?:,\d+)*)\]?)?")
MEMORY_CLOCK = re.compile(r"\bEMC_FREQ \d+%@(\d+)")
OFF_C = -100  # a sensor that is off says -256
DUMMY = "pmic"  # always 50 or 100


def parse_tegrastats(line: str) -> Dict[str, Any]:
    """Return ``rails_mw`` and ``temperatures_c`` by name, ``gpu_load`` (0 to 1), ``gpu_mhz`` and ``emc_mhz``; None if not told.

    Power is that of the moment: the averages in the line count from the start of tegrastats.
    """
    rest = PROCESSORS.sub(" ", MEMORY.sub(" ", line))
    gpu, memory = GPU.search(rest), MEMORY_CLOCK.search(rest)
    load, clocks = gpu.groups() if gpu else (None, None)
    temperatures = {name.lower(): float(value) for name, value in TEMPERATURE.findall(rest)}
    return {
        "rails_mw": {name: float(now) for name, now, _ in RAIL.findall(rest) if name != "NC"},
        "temperatures_c": {name: value for name, value in temperatures.items() if value > OFF_C and name != DUMMY},
        "gpu_load": None if load is None else int(load) / 100,
        "gpu_mhz": None if clocks is None else max(int(clock) for clock in clocks.split(",")),
        "emc_mhz": int(memory.group(1)) if memory else None,
    }


# --- Energy per pose: power sampled while windows are lifted one after the other, against power while nothing is done -

PERIOD_S = 0.05  # the chip averages: faster sampling repeats values
SETTLE_S = 1.0  # averages and fans lag
IDLE_S = 3.0

Samples = List[Tuple[float, float]]  # time in s, power in mW


class Meter(NamedTuple):
    """What tells power here."""

    read_mw: Callable[[], Optional[float]]
    of: str  # what it is the power of


@contextmanager
def power_meter() -> Iterator[Optional[Meter]]:
    """Yield what tells power here, None if nothing does: the board's own sensor, else tegrastats, else nvidia-smi."""
    rails = read_rails()
    if rails:
        yield Meter(lambda: total_mw(read_rails()), total_is(rails))
    elif shutil.which("tegrastats") is not None:  # a container may hide the sensor
        with tegrastats_meter() as meter:
            yield meter
    else:
        state = workstation_state() or {}
        known = state.get("power_mw") is not None
        yield (
            Meter(lambda: (workstation_state() or {}).get("power_mw"), "the graphics card, as nvidia-smi says") if known else None
        )


@contextmanager
def tegrastats_meter() -> Iterator[Optional[Meter]]:
    """Yield a meter that tells the power in tegrastats' newest line; None if it prints none."""
    command = ["tegrastats", "--interval", str(int(1000 * PERIOD_S))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    newest: Dict[str, float] = {}
    lines = process.stdout or ()

    def read() -> None:
        for line in lines:
            newest.update(parse_tegrastats(line)["rails_mw"])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        time.sleep(SETTLE_S)
        yield Meter(lambda: total_mw(newest), total_is(newest) + ", as tegrastats says") if newest else None
    finally:
        process.terminate()
        process.wait()


def energy_per_pose(meter: Meter, lift: Callable[[], Any], frames_out: int, seconds: float) -> Optional[Dict[str, Any]]:
    """Return joules per window and per pose of ``lift``, over ``seconds``; None if the meter told too little.

    Gross is all that the board took; net is without what it takes at rest.
    """
    idle, _, _ = sampled_power(meter, lambda: time.sleep(PERIOD_S), IDLE_S)
    busy, runs, elapsed_s = sampled_power(meter, lift, seconds)
    if min(len(idle), len(busy)) < 2:
        return None
    idle_w, mean_w = mean_watts(idle), mean_watts(busy)
    window_s = elapsed_s / runs
    return {
        "of": meter.of,
        "idle_w": idle_w,
        "mean_w": mean_w,
        "peak_w": max(mw for _, mw in busy) / 1000,
        "seconds": elapsed_s,
        "windows": runs,
        "gross_j_per_window": mean_w * window_s,
        "net_j_per_window": (mean_w - idle_w) * window_s,
        "gross_j_per_pose": mean_w * window_s / frames_out,
        "net_j_per_pose": (mean_w - idle_w) * window_s / frames_out,
    }


def sampled_power(meter: Meter, work: Callable[[], Any], seconds: float) -> Tuple[Samples, int, float]:
    """Repeat ``work`` for ``seconds`` once it has settled; return the power meanwhile, how often it ran, and for how long."""
    samples: Samples = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            found = meter.read_mw()
            if found is not None:
                samples.append((time.monotonic(), found))
            stop.wait(PERIOD_S)

    repeat(work, SETTLE_S)
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        runs, elapsed_s = repeat(work, seconds)
    finally:
        stop.set()
        thread.join()
    return samples, runs, elapsed_s


def repeat(work: Callable[[], Any], seconds: float) -> Tuple[int, float]:
    """Run ``work`` for ``seconds``, once at least; return how often it ran, and for how long."""
    start, runs = time.monotonic(), 0
    while runs == 0 or time.monotonic() - start < seconds:
        work()
        runs += 1
    return runs, time.monotonic() - start


def mean_watts(samples: Samples) -> float:
    """Return the mean power over the time that samples span, by the trapezoid rule."""
    times, power = np.array(samples).T
    energy_mj = ((power[1:] + power[:-1]) / 2 * np.diff(times)).sum()
    return float(energy_mj / (times[-1] - times[0]) / 1000)


# --- Times that can be trusted: warm until stable, then blocks of plain starts and of graph replays in turn -----------

WARM_S = 2.0  # at least: a GPU's clock takes a second to rise
WARM_MOST_S = 20.0
STABLE = 0.02  # two blocks in a row whose medians differ by less
BLOCK = 25  # windows


class Clock:
    """Times of single windows in one form: on the host from input array to pose array, and of the network on the GPU."""

    def __init__(self, runner: Any, windows: Any, replayed: bool) -> None:
        self.runner, self.windows, self.replayed = runner, windows, replayed
        self.host_ms: List[float] = []
        self.gpu_ms: List[float] = []
        self._next = 0

    def block(self, count: int) -> float:
        """Time ``count`` windows more; return their median on the host in ms."""
        self.runner.replay(self.replayed)
        for _ in range(count):
            window = self.windows[self._next % len(self.windows)]
            self._next += 1
            start = time.perf_counter()
            self.runner.infer(window)
            self.host_ms.append(1000 * (time.perf_counter() - start))
            spent = self.runner.gpu_ms()
            if spent is not None:
                self.gpu_ms.append(spent)
        return float(np.median(self.host_ms[-count:]))

    def forget(self) -> None:
        """Drop the times so far."""
        del self.host_ms[:], self.gpu_ms[:]

    def summaries(self) -> Dict[str, Any]:
        """Return what a row of the report tells of the times."""
        return {"latency_ms": time_summary(self.host_ms), "gpu_ms": time_summary(self.gpu_ms) if self.gpu_ms else None}


def time_forms(forms: List[Clock], runs: Optional[int], warmup: Optional[int], seconds: float) -> Dict[str, Any]:
    """Time ``forms`` in turn, block by block: ``runs`` windows each, or ``seconds`` in all; returns how it was done.

    ``warmup``: windows before, in each form; None: for two seconds at least, until two blocks agree.
    """
    warm_s, stable = warm_up(forms, warmup)
    for form in forms:
        form.forget()
    start = time.monotonic()
    while len(forms[-1].host_ms) < runs if runs is not None else time.monotonic() - start < seconds:
        for form in forms:
            form.block(min(BLOCK, runs - len(form.host_ms)) if runs is not None else BLOCK)
    return {"warmup_s": warm_s, "stable": stable, "timed_s": time.monotonic() - start, "windows_per_block": BLOCK}


def warm_up(forms: List[Clock], warmup: Optional[int]) -> "tuple[float, Optional[bool]]":
    """Run windows that are not counted; return for how long, and whether the times had become stable (None: not asked)."""
    start = time.monotonic()
    if warmup is not None:
        for form in forms:
            form.block(warmup) if warmup else None
        return time.monotonic() - start, None
    medians: Dict[int, float] = {}
    while True:
        stable = True
        for number, form in enumerate(forms):
            found = form.block(BLOCK)
            before = medians.get(number)
            stable = stable and before is not None and abs(found - before) <= STABLE * before
            medians[number] = found
        elapsed_s = time.monotonic() - start
        if (stable and elapsed_s >= WARM_S) or elapsed_s >= WARM_MOST_S:
            return elapsed_s, stable


def time_summary(values: List[float]) -> Dict[str, Any]:
    """Return percentiles, mean and standard deviation of times in ms."""
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(np.mean(values)), "std": float(np.std(values)), "n": len(values)}


# --- Distance from the reference poses, time, and energy --------------------------------------------------------------

class Measured(NamedTuple):
    """What was found: a row for each form of the network, and how."""

    rows: List[Dict[str, Any]]
    method: Dict[str, Any]
    states: Dict[str, Any]  # of the GPU, before and after
    doubts: List[str]  # why the times say little
    energy: Optional[Dict[str, Any]]  # of the last form


def measure_run(runner: Any, bundle: Bundle, options: argparse.Namespace) -> Measured:
    """Verify and time ``runner``, as a CUDA graph too where it can be captured; then its energy where power can be read."""
    runner.choose_memory(bundle.keypoints[0])
    rows = [verified(runner, bundle)]
    reason = runner.capture()
    if reason is None:
        rows.append(verified(runner, bundle))
    elif reason:
        note("no CUDA graph: " + reason)
    forms = [Clock(runner, bundle.keypoints, row["cuda_graph"]) for row in rows]
    before = gpu_state()
    method = dict(time_forms(forms, options.runs, options.warmup, options.seconds), memory=runner.memory)
    after = gpu_state()
    for row, form in zip(rows, forms):  # noqa: B905  # Python 3.6
        row.update(form.summaries())
    found = doubts(before, after)
    if method["stable"] is False:
        found.append("the times had not become stable after {:.0f} s".format(method["warmup_s"]))
    for doubt in found:
        note(doubt)
    return Measured(rows, method, {"before": before, "after": after}, found, energy_of(runner, bundle, options.energy))


def verified(runner: Any, bundle: Bundle) -> Dict[str, Any]:
    """Return one row without times: the network as it runs now, and its distance from the reference poses."""
    poses = np.stack([runner.infer(window) for window in bundle.keypoints])
    distance_mm, passed = compare_poses(poses, bundle.poses, bundle.limits)
    return {
        "artefact": runner.artefact.name,
        "model": bundle.manifest.get("model"),
        "precision": bundle.precision,
        "backend": runner.backend,
        "provider": runner.provider,
        "batch": 1,
        "threads": runner.threads,
        "frames_out": poses.shape[1],
        "cuda_graph": runner.captured,
        "distance_mm": distance_mm,
        "passed": passed,
        "file_bytes": runner.artefact.stat().st_size,
    }


def energy_of(runner: Any, bundle: Bundle, seconds: float) -> Optional[Dict[str, Any]]:
    """Return the energy of the form that was captured last, None where it cannot be told or was not asked for."""
    if not seconds:
        return None
    window = bundle.keypoints[0]
    with power_meter() as meter:
        if meter is None:
            return None
        return energy_per_pose(meter, lambda: runner.infer(window), len(bundle.poses[0]), seconds)


def compare_poses(poses: Any, reference: Any, limits: Dict[str, float]) -> Tuple[Dict[str, Optional[float]], bool]:
    """Return mean, 99th percentile and maximum joint distance in mm, and whether they keep within ``limits``."""
    distance = 1000 * np.linalg.norm(poses.astype(np.float64) - reference, axis=-1)
    if not np.isfinite(distance).all():  # JSON knows no NaN
        return {"mean": None, "p99": None, "max": None}, False
    found = {"mean": float(distance.mean()), "p99": float(np.percentile(distance, 99)), "max": float(distance.max())}
    return dict(found), found["mean"] <= limits["mean_mm"] and found["p99"] <= limits["p99_mm"]


# --- The bundle's network as a function: keypoints in, poses out ------------------------------------------------------

FAR_OFF = 3.0  # screen coordinates beyond this are no detector's
STRAY = 0.1  # of the keypoints may be: a detector errs, too


class Lifter:
    """A bundle's network, opened on this device and checked on the bundle's sample windows.

        from run import Lifter, on_screen

        with Lifter(precision="fp16") as lifter:
            poses_m = lifter(on_screen(keypoints_px, 1920, 1080))

    Any thread may call it; calls take turns. The engine is built where there is none that fits.
    """

    def __init__(
        self,
        folder: Optional[Any] = None,
        precision: str = "fp32",
        backend: Optional[str] = None,
        engines: Optional[Any] = None,
        workspace_mib: int = 256,
    ) -> None:
        """``folder``: the bundle, by default where this file lies; ``backend``: ``tensorrt``, ``onnxruntime`` or the best here.

        ``engines``: folder to keep engines in, by default beside the graph. Raises ``Refused`` where the bundle is damaged, this
        device cannot run it, or its poses are not within the bundle's limits.
        """
        options = argparse.Namespace(
            backend=backend, engines=None if engines is None else Path(str(engines)), workspace_mib=workspace_mib, rebuild=False
        )
        trt = tensorrt_for(backend)
        self._bundle = open_bundle(Path(str(folder or Path(__file__).parent)).absolute(), precision, trt)
        manifest = self._bundle.manifest
        self.model, self.precision = manifest.get("model"), self._bundle.precision
        self.frames, self.channels = self._bundle.keypoints.shape[1], self._bundle.keypoints.shape[3]
        self.output_frames = tuple(manifest["output_frames"])  # the window's frame that each pose shows
        self._lock = threading.Lock()
        self._opened = open_runner(self._bundle, options, trt)
        self._runner = self._opened.__enter__()
        self.backend, self.provider = self._runner.backend, self._runner.provider
        try:
            self._runner.choose_memory(self._bundle.keypoints[0])
            self._verify()
            self._runner.capture()
        except BaseException:
            self._runner = None
            self._opened.__exit__(*sys.exc_info())
            raise
        self._runner.leave()  # what else uses the GPU in this thread keeps its own context

    def __call__(self, keypoints: Any) -> Any:
        """Lift windows ``(B, T, 17, C)``, or one ``(T, 17, C)``, of normalized screen coordinates.

        Returns float32 ``(B, T_out, 17, 3)`` or ``(T_out, 17, 3)``: metres, root-relative, in the camera's axes.
        """
        windows = np.asarray(keypoints, np.float32)
        shape = (self.frames, JOINTS, self.channels)
        if windows.shape[-3:] != shape or windows.ndim not in (3, 4):
            raise Refused("keypoints are {}, wanted (B, {}, {}, {}) or one of these windows".format(windows.shape, *shape))
        check_keypoints(windows)
        with self._lock:
            if self._runner is None:
                raise Refused("this lifter has been closed")
            self._runner.enter()
            try:
                poses = [self._runner.infer(window) for window in windows.reshape(-1, *shape)]
            finally:
                self._runner.leave()
        lifted = np.stack(poses) if poses else np.empty((0, len(self.output_frames), JOINTS, 3), np.float32)
        if not np.isfinite(lifted).all():
            hint = "run fp32: half precision ends at 65504" if "fp16" in self.precision else "are its weights damaged?"
            raise Refused("{} gives values that are no numbers for these keypoints; {}".format(self._bundle.graph, hint))
        return lifted[0] if windows.ndim == 3 else lifted

    def close(self) -> None:
        """Release the device; more calls do no harm."""
        with self._lock:
            if self._runner is not None:
                self._runner.enter()
                self._runner = None
                self._opened.__exit__(None, None, None)

    def __enter__(self) -> "Lifter":
        return self

    def __exit__(self, *failure: Any) -> None:
        self.close()

    def _verify(self) -> None:
        """Refuse a device that gives other poses than the exporter's."""
        poses = np.stack([self._runner.infer(window) for window in self._bundle.keypoints])
        distance, passed = compare_poses(poses, self._bundle.poses, self._bundle.limits)
        if not passed:
            limits = self._bundle.limits
            raise Refused("{}: poses are {} mm off the reference, allowed are {}".format(self._bundle.graph, distance, limits))


def check_keypoints(windows: Any) -> None:
    """Refuse keypoints ``(..., 17, C)`` that are no numbers, or no screen coordinates; warn of fractions of the picture."""
    if not np.isfinite(windows).all():
        raise Refused("keypoints hold values that are no numbers; bridge missing joints first")
    points = windows[..., :2]
    if not points.size:
        return
    low, high = float(points.min()), float(points.max())
    if max(-low, high) > FAR_OFF and np.mean(np.abs(points) > FAR_OFF) > STRAY:
        raise Refused(
            "keypoints reach from {:g} to {:g}, where the screen's edges are at -1 and 1: are they pixels? "
            "on_screen(keypoints, width, height) normalizes them".format(low, high)
        )
    if 0 <= low < high <= 1 and np.mean(points > 0) > 0.5:
        note(
            "all keypoints lie between 0 and 1; if they are fractions of the picture's sides: on_screen(keypoints * [w, h], w, h)"
        )


def on_screen(keypoints_px: Any, width: float, height: float) -> Any:
    """Return pixels as the networks read them: the width becomes -1 to 1, the height follows in proportion.

    ``(..., 17, 2)``, or ``(..., 17, 3)`` whose third number, a confidence, stays; after VideoPose3D's ``camera.py``.
    """
    points = np.array(keypoints_px, np.float32)
    points[..., :2] = points[..., :2] / np.float32(width) * 2 - np.array([1, height / width], np.float32)
    return points


# --- The mean of what overlapping windows say of each frame -----------------------------------------------------------

def slot_weights(slots: int) -> Any:
    """Return the weights of a window's output slots: the centre counts most."""
    places = np.arange(slots)
    return np.minimum(places + 1, slots - places).astype(np.float32)


class Mean:
    """The weighted mean of what windows say of each frame, for frames in order: poses with the root, joint 0, at zero."""

    def __init__(self, frames: int, shown: Any, weights: Any, keep_first: bool = False) -> None:
        """Windows of ``frames`` rows, whose slots show the rows ``shown`` and count as ``weights``.

        ``keep_first``: a frame keeps what it was given first.
        """
        self._keep_first = keep_first
        self._slots = np.flatnonzero(weights)
        self._shown, self._counts = shown[self._slots], weights[self._slots, None, None]
        self._weights = np.repeat(np.repeat(self._counts, 17, axis=1), 3, axis=2)  # as large as poses: no time is lost in fitting
        self._weights[:, 0] = 0
        self._first_slot, self._first_row, count = int(self._slots[0]), int(self._shown[0]), len(self._slots)
        is_run = self._shown.tolist() == list(range(self._first_row, self._first_row + count))
        self._run = 0 if keep_first or not is_run else count  # slots that show rows one after another
        room = 2 * frames
        self._sum = np.zeros((room, 17, 3), np.float32)
        self._count = np.zeros((room, 1, 1), np.float32)
        self._base = self._next = 0  # frame of row 0, and the next that is taken

    def add(self, poses: Any, first: int, last: int) -> None:
        """Add a window's poses ``(n, 17, 3)``; its row 0 is frame ``first``, and frames after ``last`` are padding."""
        if last - self._base >= len(self._sum):
            self._forget()
        if self._run:  # the same as below, in half the time
            begin = self._first_row + first
            low, high = max(self._next - begin, 0), min(last + 1 - begin, self._run)
            if low < high:
                row, slot = begin - self._base, self._first_slot
                total, count = self._sum[row + low : row + high], self._count[row + low : row + high]
                if high - low == len(poses):  # slices take as long as sums
                    total += self._weights * poses
                    count += self._counts
                else:
                    total += self._weights[low:high] * poses[slot + low : slot + high]
                    count += self._counts[low:high]
            return
        kept = slice(*np.searchsorted(self._shown, (self._next - first, last + 1 - first)).tolist())
        places, rows = np.arange(len(self._slots))[kept], self._shown[kept] + (first - self._base)
        if self._keep_first:
            new = self._count[rows, 0, 0] == 0
            places, rows = places[new], rows[new]
        self._sum[rows] += self._weights[places] * poses[self._slots[places]]
        self._count[rows] += self._counts[places]

    def take(self, last: int) -> Any:
        """Return the poses ``(n, 17, 3)`` of the frames up to ``last`` that were not taken before."""
        rows = slice(self._next - self._base, last + 1 - self._base)
        self._next = last + 1
        return self._sum[rows] / self._count[rows]

    def _forget(self) -> None:
        """Make room: drop the rows of frames that were taken."""
        done = self._next - self._base
        for rows in (self._sum, self._count):
            rows[: len(rows) - done] = rows[done:].copy()
            rows[len(rows) - done :] = 0
        self._base = self._next


# --- What was found, for a machine and for a person -------------------------------------------------------------------

ENERGY = (
    "energy: {gross_j_per_window:.4f} J per window ({net_j_per_window:.4f} above rest), {gross_j_per_pose:.4f} J per pose; "
    "{mean_w:.2f} W, at rest {idle_w:.2f} W, of {of}"
)


def make_report(bundle: Bundle, runner: Any, found: Measured) -> Dict[str, Any]:
    """Return everything that was found, for a person's table and for a machine."""
    machine = {"board": board(), "l4t": first_line(RELEASE_FILE), "power_mode": power_mode()}
    machine.update({"python": platform.python_version(), "numpy": np.__version__, "system": platform.platform()})
    machine.update(runner.machine)
    return {
        "format": FORMAT,
        "bundle": {"model": bundle.manifest.get("model"), "config": bundle.manifest.get("config")},
        "graph": {"file": bundle.graph.name, "sha256": bundle.manifest["files"][bundle.graph.name]},
        "machine": machine,
        "engine": runner.details,
        "method": {
            "windows": len(bundle.keypoints),
            "runs": found.rows[0]["latency_ms"]["n"],
            **found.method,
            "latency_ms": "host clock, one window from input array to pose array, synchronised each run",
            "gpu_ms": "CUDA events around the network, without the copies",
        },
        "limits": bundle.limits,
        "rows": found.rows,
        "states": found.states,
        "doubts": found.doubts,
        "energy": found.energy,
        "passed": all(row["passed"] for row in found.rows),
    }


def format_table(report: Dict[str, Any]) -> str:
    """Return the report as a person reads it."""
    machine, first, limits = report["machine"], report["rows"][0], report["limits"]
    place = machine["board"] or machine.get("gpu") or machine["system"]
    text = ["{} {}, {}, on {}".format(first["model"], first["precision"], first["provider"], place)]
    head = ("mean mm", "p99 mm", "max mm", "host p50 ms", "host p99 ms", "gpu p50 ms", "gpu p99 ms")
    text.append(" " * 13 + "".join("{:>13}".format(word) for word in head))
    text.append(table_line("limit", [limits["mean_mm"], limits["p99_mm"]]))
    for row in report["rows"]:
        distance, host, gpu = row["distance_mm"], row["latency_ms"], row["gpu_ms"] or {}
        values = [distance["mean"], distance["p99"], distance["max"], host["p50"], host["p99"], gpu.get("p50"), gpu.get("p99")]
        text.append(table_line("CUDA graph" if row["cuda_graph"] else "plain", values))
    verdict = "within the limits" if report["passed"] else "NOT within the limits"
    text.append("poses of {} sample windows: {}".format(report["method"]["windows"], verdict))
    if report["method"]["memory"] is not None:
        text.append("memory: " + memory_words(report["method"]["memory"]))
    if report["energy"] is not None:
        text.append(ENERGY.format(**report["energy"]))
    text += ["times say little: " + doubt for doubt in report["doubts"]]
    return "\n".join(text)


def table_line(label: str, values: List[Optional[float]]) -> str:
    """Format one line of the table."""
    cells = ("-" if value is None else "{:.4f}".format(value) for value in values)
    return "  {:<11}".format(label) + "".join("{:>13}".format(cell) for cell in cells)


# --- Poses while a person moves: a window per frame, and the mean of what overlapping windows say ---------------------

class Stream:
    """One person's keypoints in, frame by frame at the network's frame rate; poses out as soon as they are final.

        stream = Stream(lifter)
        for keypoints in frames:              # (17, C), normalized screen coordinates
            for number, pose_m in stream.push(keypoints):
                ...

    A pose waits for ``look_ahead`` frames. Missing joints, other frame rates and several people are for ``poseedge.Stream``, on
    a Python that has poseedge. Not for several threads at a time.
    """

    def __init__(self, lifter: Any, every: Optional[int] = None) -> None:
        """``every``: frames from one window to the next; default: 1, or a ninth of the outputs where all frames come out."""
        shown = np.array(lifter.output_frames)
        whole = len(shown) == lifter.frames > 1
        self.every = every if every is not None else max(len(shown) // 9, 1) if whole else 1
        if not 1 <= self.every <= len(shown):
            raise Refused("a window every {} frames leaves frames without a pose; 1 to {}".format(self.every, len(shown)))
        self.look_ahead = lifter.frames - 1 - int(shown[0])
        self._lifter, self._shown = lifter, shown
        self._restart()

    def push(self, keypoints: Any) -> List[Tuple[int, Any]]:
        """Take the next frame ``(17, C)``; return (frame, pose ``(17, 3)`` in metres) of those that are final now, in order."""
        row = np.asarray(keypoints, np.float32)
        if row.shape != (JOINTS, self._lifter.channels):
            raise Refused("keypoints are {}, wanted ({}, {})".format(row.shape, JOINTS, self._lifter.channels))
        if self._newest < 0:
            self._rows.extend([row] * self._lifter.frames)  # before the first frame it stood as in it
        self._rows.append(row)
        self._newest += 1
        return self._advance(self._newest, self._newest)

    def finish(self) -> List[Tuple[int, Any]]:
        """Return the poses that are still waited for; the stream may begin anew then, at frame 0."""
        last = self._newest
        given: List[Tuple[int, Any]] = []
        for frame in range(last + 1, last + 1 + self.look_ahead if last >= 0 else 0):
            self._rows.append(self._rows[-1])
            given += self._advance(frame, last)
        self._restart()
        return given

    def _restart(self) -> None:
        self._rows: Deque[Any] = deque(maxlen=self._lifter.frames)
        self._mean = Mean(self._lifter.frames, self._shown, slot_weights(len(self._shown)))
        self._newest = -1

    def _advance(self, frame: int, last: int) -> List[Tuple[int, Any]]:
        """Run the window that ends with ``frame``, if it is its turn; frames after ``last`` repeat it."""
        first, final = frame + 1 - self._lifter.frames, frame - self.look_ahead
        shows_some = first + self._shown[-1] >= 0 and first + self._shown[0] <= last
        if frame % self.every == 0 and shows_some:
            self._mean.add(self._lifter(np.stack(self._rows)), first, last)
        if final < 0:
            return []
        [pose] = self._mean.take(final)
        return [(final, pose)]


# --- The command line -------------------------------------------------------------------------------------------------

FEW = 50  # windows to warm up with, where few are timed


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the bundle that this file lies in; returns the exit status."""
    options = parse_arguments(arguments)
    try:
        check_numbers(options)
        if options.json and not options.json.absolute().parent.is_dir():
            raise Refused("{}: no such folder for the report".format(options.json.parent))
        trt = tensorrt_for(options.backend)
        bundle = open_bundle(Path(__file__).absolute().parent, options.precision, None if options.as_named else trt)
        with open_runner(bundle, options, trt) as runner:
            report = make_report(bundle, runner, measure_run(runner, bundle, options))
        if options.json:
            write_atomically(options.json, json.dumps(report, indent=2, allow_nan=False).encode() + b"\n")
    except (Refused, OSError) as error:
        note(" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        note("interrupted; nothing half-written is left behind")
        return 130
    print(format_table(report))
    return 0 if report["passed"] else 1


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line; exits with status 2 on bad usage."""
    parser = argparse.ArgumentParser(
        description="Build, verify and time this bundle on the device at hand.",
        epilog="example: python3 run.py --precision fp16 --json fp16.json",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="graph to run (default fp32)")
    parser.add_argument("--as-named", action="store_true", help="int8 even where int8-fp16 is taken for it")
    parser.add_argument("--backend", choices=("tensorrt", "onnxruntime"), help="default: tensorrt where it is installed")
    parser.add_argument("--seconds", type=float, default=10, help="time for that long, both forms in turn (default 10)")
    parser.add_argument("--runs", type=int, help="time so many windows of each form instead")
    parser.add_argument("--warmup", type=int, help="windows before (default: until stable, 2 s at least; 50 with --runs)")
    parser.add_argument("--energy", type=float, default=10, help="seconds to measure energy for; 0: not (default 10)")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--workspace-mib", type=int, default=256, help="memory for the build, MiB (default 256)")
    parser.add_argument("--rebuild", action="store_true", help="build the engine even if there is one that fits")
    parser.add_argument("--engines", type=Path, help="folder to keep engines in, for many bundles (default: beside the graph)")
    options = parser.parse_args(arguments)
    if options.warmup is None and options.runs is not None:
        options.warmup = FEW
    return options


def check_numbers(options: argparse.Namespace) -> None:
    """Refuse what makes no sense."""
    runs = 1 if options.runs is None else options.runs
    if runs < 1 or (options.warmup or 0) < 0 or options.workspace_mib < 1:
        raise Refused("--runs and --workspace-mib start at 1, --warmup at 0")
    if not 0 < options.seconds < float("inf") or not 0 <= options.energy < float("inf"):
        raise Refused("--seconds is more than 0, --energy 0 or more")


if __name__ == "__main__":
    sys.exit(main())
