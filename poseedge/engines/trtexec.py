"""The trtexec command that builds the same engine, for those who want to see NVIDIA's own tool do it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import tensorrt as trt

from poseedge.device.runner.engine.onnx_nodes import nodes_of
from poseedge.engines.cache import Job
from poseedge.skeleton import NUM_JOINTS

ON_A_JETSON = Path("/usr/src/tensorrt/bin/trtexec")  # not on the PATH there
FLAGS = {"FP16": "--fp16", "INT8": "--int8", "OBEY_PRECISION_CONSTRAINTS": "--precisionConstraints=obey"}


def trtexec_command(job: Job, input_name: str) -> str:
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
    if job.spec.batch is None:
        sizes = (("min", 1), ("opt", options.batch), ("max", options.max_batch))
        window = f"{job.spec.frames}x{NUM_JOINTS}x{job.spec.channels}"
        words += [f"--{which}Shapes={input_name}:{batch}x{window}" for which, batch in sizes]
    config: Any = trt.IBuilderConfig
    pools = hasattr(config, "set_memory_pool_limit")
    words.append(f"--memPoolSize=workspace:{options.workspace_mib}" if pools else f"--workspace={options.workspace_mib}")
    words += [f"--timingCacheFile={job.timing_cache}", "--profilingVerbosity=detailed"]
    if hasattr(config, "max_aux_streams"):
        words.append("--maxAuxStreams=0")
    if options.optimization_level is not None:
        words.append(f"--builderOptimizationLevel={options.optimization_level}")
    words += ["--versionCompatible"] * options.version_compatible
    words.append("--skipInference" if hasattr(config, "builder_optimization_level") else "--buildOnly")  # renamed in 8.6
    return shlex.join(words)


def program() -> str:
    """Return how trtexec is called here."""
    return str(ON_A_JETSON) if shutil.which("trtexec") is None and ON_A_JETSON.is_file() else "trtexec"


def output_types(operator: str) -> str:
    """Return the types that a layer in FP32 gives: TopK's second output is indices, and one type would count for both."""
    return "fp32+int32" if operator == "TopK" else "fp32"
