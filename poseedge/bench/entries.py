"""From the artefacts that a person names to the single things that are timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poseedge.backends.registry import backend_for, backends, opens, probe
from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.engines.cuda import open_cuda
from poseedge.engines.facts import FOLDER, device_identity, read_facts, require_fit
from poseedge.errors import PoseedgeError, require


@dataclass(frozen=True)
class Subject:
    """One file that ``poseedge.load`` opens, and what its bundle's manifest knows of it."""

    path: Path
    params: int | None = None  # of the network that it came from
    mpjpe_mm: float | None = None
    delta_mpjpe_mm: float | None = None  # against the checkpoint
    model: str | None = None  # as which network to load a checkpoint that fits two
    settings: Mapping[str, Any] | None = None  # of that network
    backend: str | None = None  # that runs it, where it is not the usual one


def subjects_of(artefact: Path, precisions: list[str] | None = None) -> tuple[list[Subject], list[str]]:
    """Return what to time for ``artefact``, and remarks on what is left out.

    A bundle gives the checkpoint that it was made from, in PyTorch, as the reference, then ``precisions``, by default all, and
    their streaming forms, of which a frame is timed; where TensorRT is installed, the engines that were built from it for this
    device.
    """
    if not artefact.is_dir():
        return [Subject(artefact)], []
    bundle = open_bundle(artefact)
    wanted = precisions or bundle.precisions
    engines, remarks = engine_subjects(bundle, wanted)
    streams = [path for precision in wanted if (path := bundle.streaming_graph(precision))]
    params = bundle.manifest.parameters
    graphs = [*(graph_subject(bundle, precision) for precision in wanted), *(Subject(path, params) for path in streams), *engines]
    try:
        return [reference_subject(bundle), *graphs], remarks
    except PoseedgeError as error:
        return graphs, [*remarks, f"no speed-up against PyTorch: {error.message}" + (f" ({error.hint})" if error.hint else "")]


def on_backends(subjects: Sequence[Subject], names: Sequence[str] | None) -> list[Subject]:
    """Return each subject once for each backend of ``names`` that opens it.

    Checkpoints and engines that none of them opens stay on their own. Raises ``PoseedgeError`` for a name that opens no subject,
    and if there are ONNX files and no name opens them. Without ``names`` all stay as they are.
    """
    if not names or not subjects:
        return list(subjects)
    known = [backends()[name] for name in names if name in backends()]
    graphs = [subject.path for subject in subjects if subject.path.suffix.lower() == ".onnx"]
    if graphs and not any(opens(backend, graphs[0]) for backend in known):
        backend_for(graphs[0], names[0])
    for name in names:
        if not any(backend.name == name and opens(backend, subject.path) for backend in known for subject in subjects):
            backend_for(subjects[-1].path, name)
    found = []
    for subject in subjects:
        fitting = [name for name in dict.fromkeys(names) if opens(backends()[name], subject.path)]
        found += [replace(subject, backend=name) for name in fitting] or [subject]
    return found


def working_backends(suffix: str = ".onnx") -> list[str]:
    """Return the backends that open files with ``suffix`` and work on this machine, the usual one first."""
    fitting = [backend for backend in backends().values() if suffix in backend.suffixes]
    fitting.sort(key=lambda backend: not backend.usual)
    return [backend.name for backend in fitting if backend.usual or probe(backend).works]


def graph_subject(bundle: Bundle, precision: str) -> Subject:
    """Return the bundle's graph of ``precision``."""
    proof = bundle.manifest.parity[bundle.precision(precision)]
    delta = proof.against_reference.delta_mpjpe_mm
    return Subject(bundle.graph(precision), bundle.manifest.parameters, proof.mpjpe_mm, delta)


def engine_subjects(bundle: Bundle, precisions: Sequence[str]) -> tuple[list[Subject], list[str]]:
    """Return the bundle's engines that this device can run, and remarks on those that are missing or foreign."""
    try:
        tensorrt = require("tensorrt", "tensorrt")
    except PoseedgeError:
        return [], []
    subjects, remarks = [], []
    lacking = dict.fromkeys(precisions)
    try:
        with closing(open_cuda()) as cuda:
            device = device_identity(cuda)
        for engine in sorted((bundle.folder / FOLDER).glob("*.engine")):
            facts = read_facts(engine)
            if facts is None or facts.spec.precision not in precisions:
                continue
            try:
                require_fit(engine, facts, tensorrt.__version__, device)
            except PoseedgeError as error:
                remarks.append(f"left out: {error.message}")
                continue
            lacking.pop(facts.spec.precision, None)
            if facts.spec.precision == "int8-fp16":
                lacking.pop("int8", None)  # ``poseedge build`` takes the one for the other
            subjects.append(Subject(engine, bundle.manifest.parameters))
    except PoseedgeError as error:
        return [], [f"no TensorRT engine: {error.message}"]
    if lacking:
        remarks.append(f"no TensorRT engine for {', '.join(lacking)}: poseedge build {bundle.folder} --precision ...")
    return subjects, remarks


def reference_subject(bundle: Bundle) -> Subject:
    """Return the checkpoint that the bundle was made from; raises if PyTorch or the very same file is not here."""
    if find_spec("torch") is None:
        raise PoseedgeError("PyTorch is not installed", "pip install 'poseedge[export]'")
    manifest = bundle.manifest
    errors = manifest.reference.mpjpe_mm, 0.0
    return Subject(bundle.checkpoint(), manifest.parameters, *errors, manifest.model, manifest.config)
