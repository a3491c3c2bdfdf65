"""ONNX Runtime as a lifter: on the CPU, and on the device providers that the installed ONNX Runtime offers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Backend, Opening
from poseedge.caches import NEXT, Memory, Size, lift_windows
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.spec import End, precision_at, spec_of
from poseedge.lifter import Cost, LifterSpec, check_keypoints, check_poses, lift_in_batches
from poseedge.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from poseedge.graph.session import ort

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
TF32_OFF = "TF32 is off: float32 products are not rounded"
TF32_UNKNOWN = "float32 products may be rounded to TF32, against which this provider has no option"
NOT_TOLD = "this ONNX Runtime does not tell which nodes run in another provider"
REWRITTEN = "Q/DQ runs as integer operators that round alike, made when the file is loaded; run.py runs it as written, and slower"
READS_ATTENTION = (1, 24)  # the ONNX Runtime that runs opset 23 as a whole: 1.23 has no QuantizeLinear of it
ProviderOptions = dict[str, str]


class OnnxLifter:
    """A session on one ONNX file. Calls from several threads run side by side.

    On a CPU each thread has a binding of its own for one window, as in live use. All else is given to each run, which copies
    it to the provider's device and the poses back: a binding would copy a host array once, when it is bound.
    """

    backend = "onnxruntime"
    notes: tuple[str, ...] = ()
    timed_as: tuple[str, ...] = ()  # what a report of times must say

    def __init__(self, path: Path, threads: int = 1, provider: str = CPU, optimize: bool = True) -> None:
        """Open ``path`` with ``threads`` intra-op threads; ``optimize=False`` runs the graph exactly as written.

        Raises ``ArtefactError`` if it is no lifting graph, and if ONNX Runtime falls back from ``provider``.
        """
        session = open_provider_session(path, threads, provider, optimize)
        if optimize and provider == CPU and rewritten(path):
            self.timed_as = (REWRITTEN,)
        if provider != CPU:
            known = PROVIDERS[provider]
            self.backend, self.notes = known.backend, (known.tf32(), *placement(session, provider))
        self._hold(session, path, provider)

    def _hold(self, session: ort.InferenceSession, path: Path, provider: str) -> None:
        from poseedge.graph.session import metadata_of

        self.session, self.path, self.provider = session, path, provider
        inputs, outputs = session.get_inputs(), session.get_outputs()
        props = metadata_of(session, str(path))
        self.spec = spec_of(path, [End(e.type, e.shape) for e in inputs], [End(e.type, e.shape) for e in outputs], props)
        self._input, self._output = inputs[0].name, outputs[0].name
        self._window: BoundWindow | None = None
        if provider == CPU and self.spec.batch in (None, 1):
            self._window = BoundWindow(session, self._input, self._output, self.spec)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        keypoints = check_keypoints(keypoints, self.spec)
        if self._window is not None and len(keypoints) == 1:
            return check_poses(self._window.lift(keypoints), self.spec, self.path)
        return lift_in_batches(self._run, keypoints, self.spec, self.spec.batch or max(len(keypoints), 1), self.path)

    def _run(self, keypoints: Float32Array) -> Float32Array:
        return self.session.run([self._output], {self._input: keypoints})[0]

    def cost(self) -> Cost:
        """Return what the graph costs."""
        from poseedge.graph.flops import graph_cost  # here alone: lifting does without the memory of ``onnx``

        return graph_cost(self.path)


class CachedOnnxLifter(OnnxLifter):
    """A session on a streaming graph, ``poseedge.caches.CachedLifter``: see there."""

    def _hold(self, session: ort.InferenceSession, path: Path, provider: str) -> None:
        super()._hold(session, path, provider)
        self._window = None  # its graph takes frames
        sizes: dict[str, Any] = {value.name: tuple(value.shape) for value in session.get_inputs()[1:]}
        given = {value.name: tuple(value.shape) for value in session.get_outputs()[1:]}
        if not sizes or given != {f"{name}{NEXT}": size for name, size in sizes.items()}:
            raise ArtefactError(f"{path}: gives {given} for the caches {sizes}", "export it again")
        self.caches: Mapping[str, Size] = sizes
        self._outputs = [self._output, *given]
        self.notes = (*self.notes, f"takes frames one by one: a call with windows runs all {self.spec.frames} frames of each")

    def begin(self) -> Memory:
        """Return a memory of nothing yet, for one person in one view."""
        return Memory(self)

    def step(self, keypoints: Float32Array, caches: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        """Take a frame ``(1, 1, 17, C)``; return the pose ``(1, 1, 17, 3)`` and the caches for the next one."""
        inputs = {self._input: keypoints, **dict(zip(self.caches, caches, strict=True))}
        pose, *after = self.session.run(self._outputs, inputs)
        return pose, after

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return lift_windows(self, check_keypoints(keypoints, self.spec))


class BoundWindow(threading.local):
    """Memory for one window and its poses that a session on a CPU works in; each thread gets its own when it first asks.

    Giving keypoints to a run anew costs 20 us, of the 650 us that NanoHTNet takes.
    """

    def __init__(self, session: ort.InferenceSession, source: str, target: str, spec: LifterSpec) -> None:
        self._session, self._binding = session, session.io_binding()
        self._keypoints = np.empty((1, spec.frames, NUM_JOINTS, spec.channels), np.float32)
        self._poses = np.empty((1, len(spec.output_frames), NUM_JOINTS, 3), np.float32)
        for bind, name, array in (
            (self._binding.bind_input, source, self._keypoints),
            (self._binding.bind_output, target, self._poses),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def lift(self, keypoints: Float32Array) -> Float32Array:
        """Return the poses of one window in an array of their own."""
        self._keypoints[...] = keypoints
        self._session.run_with_iobinding(self._binding)
        return self._poses.copy()


@dataclass(frozen=True)
class Provider:
    """One of ONNX Runtime's execution providers as a backend."""

    name: str
    backend: str
    fix: str
    chain: Callable[[Path], list[tuple[str, ProviderOptions]]]  # for a graph: itself and what takes the nodes that it does not
    tf32: Callable[[], str] = lambda: TF32_OFF


def tensorrt_chain(path: Path) -> list[tuple[str, ProviderOptions]]:
    """Return TensorRT's provider with the number formats that the graph at ``path`` uses, then CUDA's.

    Before strong typing TensorRT refuses formats that its builder was not allowed.
    """
    precision = precision_at(path)
    formats = {"trt_int8_enable": precision.startswith("int8"), "trt_fp16_enable": precision.endswith("fp16")}
    return [(TENSORRT, {key: str(int(value)) for key, value in formats.items()}), (CUDA, {"use_tf32": "0"})]


def tensorrt_tf32() -> str:
    """Say what is known of TF32 in TensorRT's provider: only the environment switches it off."""
    return TF32_OFF if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0" else f"{TF32_UNKNOWN}; NVIDIA_TF32_OVERRIDE=0 has"


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(CPU, "onnxruntime", "pip install onnxruntime", lambda path: [(CPU, {})]),
        Provider(
            CUDA,
            "cuda",
            "put onnxruntime-gpu in place of onnxruntime, with the CUDA and cuDNN that its release names",
            lambda path: [(CUDA, {"use_tf32": "0"})],
        ),
        Provider(
            TENSORRT,
            "tensorrt-ep",
            "put onnxruntime-gpu in place of onnxruntime, with the TensorRT that its release names",
            tensorrt_chain,
            tensorrt_tf32,
        ),
    )
}


def open_provider_session(
    path: Path, threads: int, provider: str, optimize: bool = True, options: ort.SessionOptions | None = None
) -> ort.InferenceSession:
    """Open a session on ``provider``; on the CPU, a graph with Q/DQ in the way that is fast there.

    ``options`` take the place of the usual ones for ``threads``.

    Raises ``PoseedgeError`` if the installed ONNX Runtime does not have the provider or falls back from it as a whole.
    """
    from poseedge.graph.session import open_session as open_plainly
    from poseedge.graph.session import ort, session_options

    if provider not in ort.get_available_providers() or provider not in PROVIDERS:
        fix = PROVIDERS[provider].fix if provider in PROVIDERS else "known: " + ", ".join(PROVIDERS)
        raise PoseedgeError(f"this ONNX Runtime has no {provider}", f"it has: {', '.join(ort.get_available_providers())}; {fix}")
    options = options or session_options(threads, optimize)
    if provider != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    graph, disabled = written_for(path) if optimize and provider == CPU else (path, ())
    session = open_plainly(graph, options, PROVIDERS[provider].chain(path), disabled, str(path))
    if session.get_providers()[0] != provider:
        raise PoseedgeError(
            f"{path}: ONNX Runtime fell back from {provider} to {session.get_providers()[0]}", PROVIDERS[provider].fix
        )
    return session


def written_for(path: Path) -> tuple[Path | bytes, tuple[str, ...]]:
    """Return the graph at ``path`` as the CPU runs it best, and what ONNX Runtime must not do to it; only Q/DQ is rewritten.

    What is no ONNX file is left to ONNX Runtime to refuse.
    """
    metadata = metadata_at(path)
    if metadata is None or not metadata.ort_disabled_optimizers:
        return path, ()
    return integer_graph(path) if rewritten(path) else path, metadata.ort_disabled_optimizers


def metadata_at(path: Path) -> GraphMetadata | None:
    """Return what an ONNX file of ours says of itself."""
    from poseedge.graph.header import read_header

    try:
        return GraphMetadata.from_props(read_header(path).metadata, path)
    except (ArtefactError, OSError):
        return None


def refuse_streaming_form(path: Path, runtime: str) -> None:
    """Raise ``ArtefactError`` if ``path`` takes frames one by one, which ``runtime`` is not given."""
    metadata = metadata_at(path)
    if metadata is not None and metadata.streams:
        raise ArtefactError(f"{path}: is a streaming form, which does not run on {runtime} here", "run it without --backend")


def rewritten(path: Path) -> bool:
    """Say whether the CPU runs a file by other operators than it holds: Q/DQ of ours."""
    from poseedge.graph.header import read_header

    metadata = metadata_at(path)
    if metadata is None or metadata.precision != "int8" or not metadata.ort_disabled_optimizers:
        return False
    return "DequantizeLinear" in read_header(path).operators


def integer_graph(path: Path) -> bytes:
    """Return the INT8 graph at ``path`` as the CPU runs it best: the same rounding, other operators."""
    from poseedge.graph.cpu_form import ATTENTION_OPSET  # here alone: the other precisions do without the memory of onnx
    from poseedge.graph.graph import Graph
    from poseedge.graph.session import ort
    from poseedge.int8.cpu_graph import for_cpu

    known = tuple(map(int, ort.__version__.split(".")[:2])) >= READS_ATTENTION
    graph = Graph.load(path)
    return for_cpu(graph, ATTENTION_OPSET if known else graph.opset).proto.SerializeToString()


def placement(session: ort.InferenceSession, provider: str) -> tuple[str, ...]:
    """Say which nodes run elsewhere than in ``provider``: ONNX Runtime gives those that it does not take to others."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return (NOT_TOLD,)
    parts: dict[str, list[Any]] = {}
    for part in session.get_provider_graph_assignment_info():
        parts.setdefault(part.ep_name, []).extend(part.get_nodes())
    total = sum(map(len, parts.values()))
    return tuple(
        f"{len(nodes)} of {total} nodes run in {name}, such as {nodes[0].op_type} {nodes[0].name!r}"
        for name, nodes in parts.items()
        if name != provider and nodes
    )


def open_lifter(provider: str, path: Path, opening: Opening) -> OnnxLifter:
    """Return ``path`` on ``provider``."""
    metadata = metadata_at(path)
    kind = CachedOnnxLifter if metadata is not None and metadata.streams else OnnxLifter
    return kind(path, opening.threads, provider)


def works(provider: str) -> str:
    """Run a one-node graph on ``provider``; a silent fallback counts as a failure. Returns ONNX Runtime's version."""
    from onnx import TensorProto, helper

    from poseedge.graph.session import FATAL, SessionError, open_session, ort, session_options

    fix = PROVIDERS[provider].fix
    if provider not in ort.get_available_providers():
        raise PoseedgeError(f"ONNX Runtime {ort.__version__} here has no {provider}", fix)
    values = [helper.make_tensor_value_info(key, TensorProto.FLOAT, [2]) for key in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "probe", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    try:
        session = open_session(model.SerializeToString(), session_options(severity=FATAL), [provider])
    except SessionError as error:
        raise PoseedgeError(error.reason, fix) from error
    if session.get_providers()[0] != provider:
        raise PoseedgeError(f"falls back to {session.get_providers()[0]}", fix)
    session.run(None, {"x": np.ones(2, np.float32)})
    return str(ort.__version__)


def as_backend(provider: Provider) -> Backend:
    """Return ``provider`` as the registry knows it."""
    return Backend(
        name=provider.backend,
        suffixes=(".onnx",),
        open=partial(open_lifter, provider.name),
        works=partial(works, provider.name),
        fix=provider.fix,
        usual=provider.name == CPU,
        session=partial(open_provider_session, provider=provider.name),
    )


BACKENDS = tuple(map(as_backend, PROVIDERS.values()))
