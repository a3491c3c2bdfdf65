"""Engines on disk: built once for a graph, a TensorRT, a device and options, and found again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tensorrt as trt

from poseedge.arrays import Float32Array
from poseedge.device.runner.engine.identity import differences
from poseedge.engines.builder import build_plan
from poseedge.engines.calibrator import Feed
from poseedge.engines.cuda import Cuda
from poseedge.engines.facts import FOLDER, EngineFacts, device_identity, read_facts, write_engine
from poseedge.engines.options import BuildOptions
from poseedge.engines.routes import Route, choose_route
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.files import atomic_write, locked, sha256_of
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import spec_of_graph
from poseedge.int8.windows import digest
from poseedge.lifter import LifterSpec
from poseedge.progress import Stage, silent

Calibration = Callable[[LifterSpec], Float32Array]  # what a lifter takes -> windows (N, T, 17, C)


@dataclass(frozen=True)
class BuildJob:
    """One engine to be: what from, how, for what device, and where."""

    graph: Path
    spec: LifterSpec  # of the engine
    route: Route
    options: BuildOptions
    identity: dict[str, Any]  # all that decides what the builder makes
    windows: Float32Array | None  # to calibrate with
    output: Path

    @property
    def timing_cache(self) -> Path:
        """Kernel times measured by earlier builds for this device."""
        return self.output.parent / "{tensorrt}.{sm}.timing".format(**self.identity)

    @property
    def calibration_cache(self) -> Path:
        """Ranges found by an earlier calibration of this graph on these windows."""
        known = hashlib.sha256("{onnx_sha256} {calibration} {tensorrt}".format(**self.identity).encode()).hexdigest()
        return self.output.parent / f"{self.graph.stem}.{known[:12]}.calibration"


def plan_job(
    graph: Path,
    options: BuildOptions,
    cuda: Cuda,
    output: Path | None = None,
    calibration: Calibration | None = None,
    held: Sequence[str] | None = None,
) -> BuildJob:
    """Decide how ``graph`` becomes an engine on this device; the default output lies in ``engines`` beside it.

    ``held``: the nodes that stay in FP32 where builder flags allow a lower precision, as a bundle's manifest lists them.

    Raises ``PoseedgeError`` if this device or this TensorRT has no way to ``options.precision``.
    """
    model = Graph.load(graph)
    spec = spec_of_graph(graph, model)
    if not 1 <= options.batch <= options.max_batch:
        raise PoseedgeError(f"batch {options.batch} is not between 1 and the largest batch, {options.max_batch}")
    if spec.batch is not None:
        options = replace(options, batch=spec.batch, max_batch=spec.batch)
    route = choose_route(options.precision, model, cuda.capability, held)
    if route.calibrate and calibration is None:
        raise PoseedgeError(f"{graph}: has no Q/DQ, so int8 needs data to calibrate on")
    windows = calibration(spec) if route.calibrate and calibration else None
    identity = {
        "onnx_sha256": sha256_of(graph),
        "tensorrt": trt.__version__,
        "cuda": cuda.version,
        "driver": cuda.driver,
        **device_identity(cuda),
        "options": plain_values(options),
        "route": plain_values(route),
        "calibration": None if windows is None else digest(windows),
    }
    stem = graph.stem if graph.stem.endswith(options.precision) else f"{graph.stem}_{options.precision}"
    name = "{}.{tensorrt}.{sm}.engine".format(stem, **identity)
    return BuildJob(
        graph=graph,
        spec=replace(spec, precision=options.precision),
        route=route,
        options=options,
        identity=identity,
        windows=windows,
        output=output or graph.parent / FOLDER / name,
    )


def plain_values(settings: Any) -> dict[str, Any]:
    """Return a dataclass as JSON would give it back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}


def ensure_engine(
    job: BuildJob, cuda: Cuda, rebuild: bool = False, stage: Stage = silent, say: Callable[[str], None] = lambda _: None
) -> tuple[EngineFacts, bool]:
    """Return the facts of the engine at ``job.output``, and whether it had to be built.

    It is built if there is none that fits, or if ``rebuild`` says so; ``say`` is told why. One build at a time runs in a
    folder: kernels are timed during a build, and two at once would disturb each other.
    """
    with locked(job.output.parent, lambda: say(f"another process builds in {job.output.parent}; waiting for it")):
        known = None if rebuild else reusable(job, say)
        if known is not None:
            return known, False
        if not os.access(job.output.parent, os.W_OK):  # to be known before a build of minutes
            raise PoseedgeError(f"{job.output.parent}: cannot be written to", "choose another place with --output")
        return build_cached(job, cuda, stage, say), True


def reusable(job: BuildJob, say: Callable[[str], None]) -> EngineFacts | None:
    """Return the facts of the engine that is there if it is whole and is what ``job`` would make."""
    if not job.output.is_file():
        return None
    try:
        facts = read_facts(job.output)
    except ArtefactError as error:
        say(f"{error.message}; building again")
        return None
    if facts is None:
        raise ArtefactError(f"{job.output}: exists, and nothing says what it is", "choose another --output, or --rebuild")
    differs = differences(facts.identity, job.identity)
    if not differs and sha256_of(job.output) != facts.plan_sha256:
        differs = ["its hash: it is damaged"]
    if differs:
        say(f"{job.output.name}: differs in {', '.join(differs)}; building again")
        return None
    return facts


def build_cached(job: BuildJob, cuda: Cuda, stage: Stage, say: Callable[[str], None]) -> EngineFacts:
    """Build and write the engine, then what the next build can use."""
    start = time.perf_counter()
    feed = None if job.windows is None else Feed(job.windows, job.options.batch, cuda, read_bytes(job.calibration_cache) or None)
    with cuda:
        built = build_plan(job.graph, job.route, job.options, read_bytes(job.timing_cache), feed, stage)
    facts = EngineFacts(
        identity=job.identity,
        graph=os.path.relpath(job.graph, job.output.parent),
        spec=job.spec,
        plan_sha256=hashlib.sha256(built.plan).hexdigest(),
        build_s=time.perf_counter() - start,
    )
    if built.pinned_layers < len(job.route.pinned):
        say(f"only {built.pinned_layers} of {len(job.route.pinned)} nodes that should stay in FP32 were found")
    write_engine(job.output, built.plan, facts)
    for path, content in ((job.timing_cache, built.timing_cache), (job.calibration_cache, built.calibration_cache)):
        if content:
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
    return facts


def read_bytes(path: Path) -> bytes:
    """Return what a cache file holds, nothing if it is not there."""
    return path.read_bytes() if path.is_file() else b""
