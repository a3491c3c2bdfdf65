"""The tensors inside an engine: its graph built once more, in the same way, with them as outputs."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import tensorrt as trt

from poseedge.arrays import AnyArray, Float32Array
from poseedge.engines.builder import build_plan
from poseedge.engines.cuda import open_cuda
from poseedge.engines.facts import EngineFacts, device_identity, graph_path, read_facts, require_fit, sidecar
from poseedge.engines.options import BuildOptions
from poseedge.engines.plan import open_plan
from poseedge.engines.routes import choose_route
from poseedge.engines.session import Session
from poseedge.errors import ArtefactError
from poseedge.files import sha256_of
from poseedge.graph.compare import Side
from poseedge.graph.lifting import open_lifting, pose_output
from poseedge.progress import silent
from poseedge.records import record


@dataclass(frozen=True)
class OpenedEngine(Side):
    """An engine as one side of a comparison; ``graph`` is the one that it was built from.

    An output cannot be fused away, so what its layers give comes from a second build, and its poses from itself.
    """

    facts: EngineFacts

    def tensors(self, names: list[str]) -> Callable[[Float32Array], list[AnyArray]]:
        """Build the graph with ``names`` as outputs, which takes as long as any build."""
        opened, pose = self.graph.with_outputs(names), pose_output(self.graph)
        cuda = open_cuda()
        try:
            route = choose_route(self.spec.precision, opened, cuda.capability, self.facts.identity["route"]["pinned"])
            if route.calibrate:
                hint = "compare one that was built from an int8 graph of poseedge export"
                raise ArtefactError(f"{self.path}: its INT8 scales come from TensorRT's calibration, which is not repeated", hint)
            options = replace(read_options(self.path, self.facts), batch=1, max_batch=1)
            with tempfile.TemporaryDirectory() as folder, cuda:
                graph = Path(folder) / graph_path(self.path, self.facts).name
                onnx.save(opened.proto, graph)
                plan = build_plan(graph, route, options, b"", None, silent).plan
        except BaseException:
            cuda.close()
            raise
        session = Session(self.path, plan, cuda, options.version_compatible, cuda_graph=False, pose=pose)

        def run(keypoints: Float32Array) -> list[AnyArray]:
            session.run(keypoints)
            found = session.outputs()
            return [found[name] for name in names]

        weakref.finalize(run, session.close)
        return run

    def poses(self) -> Callable[[Float32Array], AnyArray]:
        """Return the engine itself."""
        plan = open_plan(self.path)

        def run(keypoints: Float32Array) -> AnyArray:
            return plan.lift(keypoints)

        weakref.finalize(run, plan.session.close)
        return run


def open_engine(path: Path) -> OpenedEngine:
    """Read an engine; raises ``ArtefactError`` where the graph that it was built from is not known or no longer there."""
    facts = read_facts(path)
    if facts is None:
        raise ArtefactError(f"{path}: nothing beside it says which graph it was built from", "build it with: poseedge build")
    cuda = open_cuda()
    cuda.close()
    require_fit(path, facts, trt.__version__, device_identity(cuda))
    graph = graph_path(path, facts)
    if not graph.is_file() or sha256_of(graph) != facts.identity["onnx_sha256"]:
        raise ArtefactError(f"{path}: the graph that it was built from, {graph}, has gone or changed", "build it again")
    return OpenedEngine(path, open_lifting(graph)[0], facts.spec, facts)


def read_options(path: Path, facts: EngineFacts) -> BuildOptions:
    """Return the options that the engine at ``path`` was built with."""
    try:
        return record(BuildOptions, facts.identity["options"], "identity.options.")
    except ValueError as error:
        raise ArtefactError(f"{sidecar(path)}: does not describe an engine: {error}", "build it again") from error
