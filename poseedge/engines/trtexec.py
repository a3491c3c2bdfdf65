"""The trtexec command that builds the same engine, for those who want to see NVIDIA's own tool do it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseedge.engines.options import BuildOptions
from poseedge.errors import PoseedgeError
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import spec_of_graph
from poseedge.lifter import LifterSpec
from poseedge.onnx_file import nodes_of
from poseedge.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from poseedge.engines.cache import BuildJob

ON_A_JETSON = Path("/usr/src/tensorrt/bin/trtexec")  # not on the PATH there
FLAGS = {"FP16": "--fp16", "INT8": "--int8", "OBEY_PRECISION_CONSTRAINTS": "--precisionConstraints=obey"}


def trtexec_command(job: BuildJob, input_name: str) -> str:
    """Return the command line, with the spelling of the trtexec that comes with this TensorRT."""
    route, options = job.route, job.options
    words = [program(), f"--onnx={job.graph}", f"--saveEngine={job.output}", *(FLAGS[flag] for flag in route.enable)]
    if route.typing == "strong" and route.network_flags:
        words.append("--stronglyTyped")
    if "TF32" in route.disable:
        words.append("--noTF32")
    if route.pinned:
        kinds = {node.name: node.operator for node in nodes_of(job.graph.read_bytes())}
        pinned = ",".join(f"{name}:fp32" for name in route.pinned)
        outputs = ",".join(f"{name}:{output_types(kinds[name])}" for name in route.pinned)
        words += [f"--layerPrecisions={pinned}", f"--layerOutputTypes={outputs}"]
    if route.calibrate:
        words.append(f"--calib={job.calibration_cache}")
    words += shape_words(job.spec, options, input_name)
    import tensorrt as trt

    config: Any = trt.IBuilderConfig
    pools = hasattr(config, "set_memory_pool_limit")
    words.append(f"--memPoolSize=workspace:{options.workspace_mib}" if pools else f"--workspace={options.workspace_mib}")
    words += [f"--timingCacheFile={job.timing_cache}", "--profilingVerbosity=detailed"]
    if hasattr(config, "max_aux_streams"):
        words.append("--maxAuxStreams=0")
    words += builder_words(options)
    words.append("--skipInference" if hasattr(config, "builder_optimization_level") else "--buildOnly")  # renamed in 8.6
    return shlex.join(words)


def trtexec_elsewhere(graph: Path, options: BuildOptions, output: Path | None = None) -> str:
    """Return the command line for a machine with TensorRT 10.12 or a later 10, where this one has none.

    The graph says its own precision there; raises ``PoseedgeError`` if another is wanted, which other flags must allow.
    """
    model = Graph.load(graph)
    if options.precision != model.precision:
        raise PoseedgeError(
            f"{graph}: is {model.precision}; how {options.precision} is made of it depends on the TensorRT, and none is here",
            "name the graph of that precision, or type this on the device",
        )
    engine = output or graph.parent / "engines" / f"{graph.stem}.engine"
    words = ["trtexec", f"--onnx={graph}", f"--saveEngine={engine}", "--stronglyTyped", "--noTF32"]
    words += shape_words(spec_of_graph(graph, model), options, model.proto.graph.input[0].name)
    words += [f"--memPoolSize=workspace:{options.workspace_mib}", "--profilingVerbosity=detailed", "--maxAuxStreams=0"]
    return shlex.join([*words, *builder_words(options), "--skipInference"])


def builder_words(options: BuildOptions) -> list[str]:
    """Return the words for what the builder may be told beside."""
    level = options.optimization_level
    return [
        *([] if level is None else [f"--builderOptimizationLevel={level}"]),
        *(["--versionCompatible"] * options.version_compatible),
    ]


def shape_words(spec: LifterSpec, options: BuildOptions, input_name: str) -> list[str]:
    """Return the words for the sizes of a free batch."""
    if spec.batch is not None:
        return []
    sizes = (("min", 1), ("opt", options.batch), ("max", options.max_batch))
    window = f"{spec.frames}x{NUM_JOINTS}x{spec.channels}"
    return [f"--{which}Shapes={input_name}:{batch}x{window}" for which, batch in sizes]


def program() -> str:
    """Return how trtexec is called here."""
    return str(ON_A_JETSON) if shutil.which("trtexec") is None and ON_A_JETSON.is_file() else "trtexec"


def output_types(operator: str) -> str:
    """Return the types that a layer in FP32 gives: TopK's second output is indices, and one type would count for both."""
    return "fp32+int32" if operator == "TopK" else "fp32"
