"""From an ONNX graph to a plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorrt as trt

from poseedge.device.runner.engine.log import parser_words
from poseedge.device.runner.engine.pins import pin
from poseedge.engines.calibrator import Feed, make_calibrator
from poseedge.engines.log import shared_log
from poseedge.engines.monitor import watched
from poseedge.engines.options import BuildOptions
from poseedge.engines.routes import Route
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.onnx_file import makers_of
from poseedge.progress import Stage


@dataclass(frozen=True)
class Built:
    """What a build gives."""

    plan: bytes
    timing_cache: bytes
    calibration_cache: bytes | None
    pinned_layers: int


def build_plan(graph: Path, route: Route, options: BuildOptions, timing_cache: bytes, feed: Feed | None, stage: Stage) -> Built:
    """Build ``graph`` while a CUDA context is current; ``feed`` calibrates where the route asks for it.

    Raises ``ArtefactError`` with the parser's or the builder's own words.
    """
    log = shared_log()
    builder = trt.Builder(log)
    network = builder.create_network(route.network_flags)
    parser = trt.OnnxParser(network, log)
    del log.errors[:]
    if not parser.parse_from_file(str(graph)):
        raise ArtefactError(
            f"{graph}: TensorRT {trt.__version__} cannot read it: {parser_words(parser, graph, log)}",
            "export it for this device: poseedge export --target NAME; poseedge targets lists the names",
        )
    config = builder.create_builder_config()
    configure(config, route, options)
    pinned_layers = pin(trt, network, makers_of(graph.read_bytes(), route.pinned))
    profile = add_profile(builder, network, config, options)
    timings = set_timing_cache(config, timing_cache)  # the builder adds to it, and it must outlive the build
    calibrator = make_calibrator(feed) if feed is not None else None
    if calibrator is not None:
        config.int8_calibrator = calibrator
        if profile is not None and not config.set_calibration_profile(profile):
            raise ArtefactError(f"{graph}: TensorRT refuses the calibration shapes: {log.words()}")
    del log.errors[:]
    with watched(config, f"building {graph.stem} {options.precision}", stage):
        plan: Any = builder.build_serialized_network(network, config)
    if calibrator is not None and calibrator.failure is not None:
        if not isinstance(calibrator.failure, Exception):
            raise calibrator.failure  # Ctrl-C
        raise PoseedgeError(f"{graph}: calibration failed: {calibrator.failure}", "no engine was written") from calibrator.failure
    if plan is None:
        hint = f"if it names memory or finds no implementation, try a larger --workspace-mib than {options.workspace_mib}"
        raise ArtefactError(f"{graph}: TensorRT {trt.__version__} cannot build it: {log.words()}", hint)
    return Built(bytes(plan), bytes(timings.serialize()), calibrator.cache if calibrator is not None else None, pinned_layers)


def configure(config: Any, route: Route, options: BuildOptions) -> None:
    """Set flags, memory and what else this TensorRT offers; raises ``PoseedgeError`` for a wish that it cannot fulfil."""
    wanted = {"VERSION_COMPATIBLE": options.version_compatible}
    for name in (*route.enable, *(flag for flag, on in wanted.items() if on)):
        if not hasattr(trt.BuilderFlag, name):
            raise PoseedgeError(f"TensorRT {trt.__version__} knows no {name}", "leave that option out")
        config.set_flag(getattr(trt.BuilderFlag, name))
    for name in route.disable:
        config.clear_flag(getattr(trt.BuilderFlag, name))
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    else:  # before 8.4
        config.max_workspace_size = options.workspace_mib << 20
    if hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 0  # the runner has one stream
    if options.optimization_level is not None:
        if not hasattr(config, "builder_optimization_level"):
            raise PoseedgeError(f"TensorRT {trt.__version__} knows no optimization level; it came with 8.6", "leave it out")
        config.builder_optimization_level = options.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # costs nothing at run time, and names every layer


def add_profile(builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, options: BuildOptions) -> Any:
    """Return the profile that says which batches a free batch may be, None if it is fixed."""
    source: Any = network.get_input(0)
    shape: tuple[int, ...] = tuple(source.shape)
    if -1 not in shape:
        return None
    profile: Any = builder.create_optimization_profile()
    profile.set_shape(source.name, *((batch, *shape[1:]) for batch in (1, options.batch, options.max_batch)))
    if config.add_optimization_profile(profile) < 0:
        raise ArtefactError(f"TensorRT refuses batches of 1 to {options.max_batch} for input {source.name} {shape}")
    return profile


def set_timing_cache(config: trt.IBuilderConfig, stored: bytes) -> Any:
    """Let the builder know kernel times of earlier builds; those of another device or version are left out."""
    cache = config.create_timing_cache(stored)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache
