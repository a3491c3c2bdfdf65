"""ONNX Runtime as a lifter."""

from __future__ import annotations

from pathlib import Path

from poseedge.arrays import Float32Array
from poseedge.errors import PoseedgeError
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.session import CPU, ort, session_options
from poseedge.graph.session import open_session as open_plainly
from poseedge.graph.spec import End, spec_of
from poseedge.lifter import Cost, check_keypoints, lift_in_batches


class OnnxLifter:
    """A session on one ONNX file. Calls from several threads run side by side.

    Keypoints are given to each run, which copies them to the provider's device and the poses back. An ``IOBinding`` would
    copy a host array once, when it is bound, and on a CPU saves nothing that can be measured.
    """

    backend = "onnxruntime"
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, threads: int = 1, provider: str = CPU, optimize: bool = True) -> None:
        """Open ``path`` with ``threads`` intra-op threads; ``optimize=False`` runs the graph exactly as written.

        Raises ``ArtefactError`` if it is no lifting graph, and if ONNX Runtime falls back from ``provider``.
        """
        if provider not in ort.get_available_providers():
            have = ", ".join(ort.get_available_providers())
            raise PoseedgeError(f"this ONNX Runtime has no {provider}", f"it has: {have}")
        self._hold(open_session(path, threads, provider, optimize), path, provider)

    def _hold(self, session: ort.InferenceSession, path: Path, provider: str) -> None:
        self.session, self.path, self.provider = session, path, provider
        inputs, outputs = session.get_inputs(), session.get_outputs()
        props = session.get_modelmeta().custom_metadata_map
        self.spec = spec_of(path, [End(e.type, e.shape) for e in inputs], [End(e.type, e.shape) for e in outputs], props)
        self._input, self._output = inputs[0].name, outputs[0].name

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        keypoints = check_keypoints(keypoints, self.spec)
        return lift_in_batches(self._run, keypoints, self.spec, self.spec.batch or max(len(keypoints), 1))

    def _run(self, keypoints: Float32Array) -> Float32Array:
        return self.session.run([self._output], {self._input: keypoints})[0]

    def cost(self) -> Cost:
        """Return what the graph costs."""
        from poseedge.graph.flops import graph_cost  # here alone: lifting does without the memory of ``onnx``

        return graph_cost(self.path)


def open_session(path: Path, threads: int, provider: str, optimize: bool) -> ort.InferenceSession:
    """Open a session; a graph with Q/DQ in the way that is fast on a CPU."""
    options = session_options(threads, optimize)
    session = open_plainly(path, options, provider)
    metadata = GraphMetadata.from_props(session.get_modelmeta().custom_metadata_map)
    if optimize and metadata and metadata.ort_disabled_optimizers and provider == CPU:
        session = open_quantized(path, options, metadata)
    if session.get_providers()[0] != provider:
        raise PoseedgeError(f"{path}: ONNX Runtime fell back from {provider} to {session.get_providers()[0]}")
    return session


def open_quantized(path: Path, options: ort.SessionOptions, metadata: GraphMetadata) -> ort.InferenceSession:
    """Open a graph with Q/DQ on the CPU: INT8 as integer operators, INT8 in half precision without what would slow it down."""
    graph = integer_graph(path) if metadata.precision == "int8" else path
    return open_plainly(graph, options, disabled=metadata.ort_disabled_optimizers, name=str(path))


def integer_graph(path: Path) -> bytes:
    """Return the INT8 graph at ``path`` with its products as integer operators."""
    import onnx  # here alone: the other precisions do without the memory that it takes

    from poseedge.int8.integer_products import with_integer_products

    return with_integer_products(onnx.load(path)).SerializeToString()
