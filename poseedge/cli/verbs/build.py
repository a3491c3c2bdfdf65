"""``poseedge build``: an ONNX graph to a TensorRT engine, on the device that will run it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.bundle.reading import open_bundle
from poseedge.bundle.triton import add_model
from poseedge.cli import options
from poseedge.cli.at_hand import here
from poseedge.cli.console import emit_json, err, next_step, out, stage, table, warn
from poseedge.device.runner.engine.routes import MIXED, suited
from poseedge.engines.facts import bundle_of
from poseedge.engines.options import BuildOptions
from poseedge.engines.trtexec import trtexec_command, trtexec_elsewhere
from poseedge.errors import PoseedgeError, require
from poseedge.int8.windows import load_calibration
from poseedge.lifter import PRECISIONS, LifterSpec
from poseedge.resources import CALIBRATION_DATA, resource

if TYPE_CHECKING:
    from poseedge.engines.cache import BuildJob
    from poseedge.engines.cuda import Cuda

CALIBRATION_COUNT = 512


def build(
    artefact: Annotated[Path, typer.Argument(help="bundle folder or .onnx file")],
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16, int8 or int8-fp16; default: fp32 of a bundle, else what the graph is")
    ] = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="engine file; default: in engines/ by the graph")] = None,
    batch: Annotated[int, typer.Option(min=1, max=options.LARGEST_BATCH, help="windows per call to tune for, if free")] = 1,
    max_batch: Annotated[
        int | None, typer.Option(min=1, max=options.LARGEST_BATCH, help="most windows per call, if free")
    ] = None,
    workspace_mib: Annotated[int, typer.Option(min=1, help="memory that a kernel may take while it is tried out")] = 256,
    optimization_level: Annotated[
        int | None, typer.Option(min=0, max=5, help="0 quick build ... 5 thorough; TensorRT 8.6 and later")
    ] = None,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="later TensorRTs of this major version may load it; 8.6 and later")
    ] = False,
    calib: options.CalibrationData = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="build even if there is an engine that fits")] = False,
    triton: Annotated[
        Path | None, typer.Option(file_okay=False, help="also put the engine into a model repository for NVIDIA's Triton")
    ] = None,
    trtexec: Annotated[bool, typer.Option("--trtexec", help="only print the trtexec command that does the same")] = False,
    json: options.Json = False,
) -> None:
    """Build a TensorRT engine for this device, or find the one that was built before.

    Example: poseedge build build/nanohtnet --precision fp16
    """
    if precision not in (None, *PRECISIONS):
        raise PoseedgeError(f"there is no precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    wanted = BuildOptions(precision or "fp32", batch, max_batch or batch, workspace_mib, optimization_level, version_compatible)
    if trtexec and not here("tensorrt"):
        print_elsewhere(artefact, wanted, precision, output, json)
        return
    graph, named, held = graph_to_build(artefact, precision)
    wanted = replace(wanted, precision=named)
    from poseedge.engines.cache import ensure_engine
    from poseedge.engines.cuda import open_cuda

    with closing(open_cuda()) as cuda:
        job = planned(graph, wanted, cuda, output, calib, held)
        if trtexec:
            print_command(trtexec_command(job, input_name(graph)), json)
            return
        try:
            facts, built = ensure_engine(job, cuda, rebuild, stage, lambda line: err.print(line, markup=False, soft_wrap=True))
        except KeyboardInterrupt as interrupt:
            raise PoseedgeError(f"{graph}: the build was interrupted; no engine was written") from interrupt
    if triton is not None:
        add_model(triton, graph, job.output, job.options.max_batch, int64=hasattr(require("tensorrt", "tensorrt"), "int64"))
    found: dict[str, Any] = {"engine": str(job.output), "built": built, "bytes": job.output.stat().st_size}
    found |= {"build_s": facts.build_s, "precision": wanted.precision, **facts.identity}
    if json:
        emit_json(found)
    else:
        show(found | {"against": reference(job.output, graph)})


def graph_to_build(artefact: Path, precision: str | None) -> tuple[Path, str, list[str] | None]:
    """Return the graph that ``artefact`` is or holds, its precision, and what a bundle's manifest keeps of it in FP32."""
    tensorrt = require("tensorrt", "tensorrt")
    graph, held = artefact, None
    if artefact.is_dir():
        bundle = open_bundle(artefact)
        precision = suited(tensorrt, precision or "fp32", bundle.precisions)
        graph = bundle.graph(precision)
        held = bundle.manifest.graphs[bundle.precision(precision)].float32_nodes
    if graph.suffix != ".onnx":
        raise PoseedgeError(f"{graph}: engines are built from a bundle or an .onnx file")
    return graph, precision or load(graph).spec.precision, held


def planned(
    graph: Path, wanted: BuildOptions, cuda: Cuda, output: Path | None, calib: Path | None, held: list[str] | None
) -> BuildJob:
    """Return the build to do; raises ``PoseedgeError`` for options that would change nothing."""
    from poseedge.engines.cache import plan_job

    def calibration(spec: LifterSpec) -> Float32Array:
        folder = calib or resource(*CALIBRATION_DATA)
        return load_calibration(folder, spec.frames, CALIBRATION_COUNT, spec.channels, spec.known_fps, warn)

    job = plan_job(graph, wanted, cuda, output, calibration, held)
    if calib is not None and not job.route.calibrate:
        raise PoseedgeError(f"--calib: {wanted.precision} of {graph.name} needs no calibration", "leave it out")
    if job.spec.batch is not None and (wanted.batch, wanted.max_batch) not in ((1, 1), (job.spec.batch, job.spec.batch)):
        hint = "leave out --batch and --max-batch, or export with --free-batch"
        raise PoseedgeError(f"{graph}: its batch is {job.spec.batch}, and not free", hint)
    return job


def print_command(command: str, json: bool) -> None:
    """Print a trtexec command, so that it can be pasted."""
    emit_json({"trtexec": command}) if json else out.print(command, soft_wrap=True, markup=False)


def print_elsewhere(artefact: Path, options: BuildOptions, precision: str | None, output: Path | None, json: bool) -> None:
    """Print the trtexec command for a machine that has TensorRT."""
    graph, named = artefact, precision
    if artefact.is_dir():
        bundle = open_bundle(artefact)
        named = precision or bundle.precisions[0]
        if named == "int8" and MIXED in bundle.precisions:  # with strong typing the rest of a plain INT8 graph would run in FP32
            named = MIXED
        graph = bundle.graph(named)
    named = named or load(graph).spec.precision
    command = trtexec_elsewhere(graph, replace(options, precision=named), output)
    err.print("TensorRT is not installed here: as trtexec of TensorRT 10.12 and later spells it, but for 11", soft_wrap=True)
    print_command(command, json)


def reference(engine: Path, graph: Path) -> str:
    """Return what to compare ``engine`` with: its bundle's checkpoint where PyTorch can run it, else an ONNX graph."""
    bundle = bundle_of(engine)
    if bundle is not None and find_spec("torch") is not None:
        return "checkpoint"
    return str(bundle.graph("fp32") if bundle is not None and "fp32" in bundle.precisions else graph)


def input_name(graph: Path) -> str:
    """Return the name of the graph's input."""
    import onnx

    return str(onnx.load(graph, load_external_data=False).graph.input[0].name)


def show(found: dict[str, Any]) -> None:
    """Print what was built, how and where."""
    route = found["route"]
    flags = ", ".join(route["enable"]) or "none"
    rows = [
        ["engine", f"{found['engine']} ({found['bytes'] / 1e6:.2f} MB)"],
        ["built", f"now, in {found['build_s']:.1f} s" if found["built"] else "before; it fits this graph, device and options"],
        ["for", f"{found['gpu']} {found['sm']}, TensorRT {found['tensorrt']}, CUDA {found['cuda']}"],
        ["precision", f"{found['precision']}, {route['typing']} typing, builder flags: {flags}"],
    ]
    if route["pinned"]:
        rows.append(["kept in FP32", f"{len(route['pinned'])} nodes"])
    if route["calibrate"]:
        rows.append(["int8 scales", "calibrated by TensorRT; Q/DQ in the graph (poseedge export) says where, and is exact"])
    table("TensorRT engine", ["", "value"], rows, text=("value",))
    next_step("poseedge", "eval", found["engine"], "--against", found["against"])
