"""An engine file, opened: the session that runs it, and what it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tensorrt as trt

from poseedge.arrays import Float32Array
from poseedge.engines.cuda import open_cuda
from poseedge.engines.facts import EngineFacts, device_identity, read_facts, require_fit
from poseedge.engines.session import Session
from poseedge.errors import ArtefactError
from poseedge.lifter import LifterSpec, lift_in_batches, spec_from_shapes


@dataclass(frozen=True)
class OpenPlan:
    """An engine on device 0; close its session when it is no longer needed."""

    path: Path
    session: Session
    spec: LifterSpec
    facts: EngineFacts | None  # what lies beside the engine
    provider: str  # TensorRT's version and the device

    def lift(self, keypoints: Float32Array) -> Float32Array:
        """Lift any number of windows, which have been checked."""
        return lift_in_batches(self.session.run, keypoints, self.spec, self.session.most, self.path)


def open_plan(path: Path, cuda_graph: bool = True) -> OpenPlan:
    """Open the engine ``path``; what lies beside it in JSON says what it is and must fit this device.

    Raises ``ArtefactError`` if it is damaged, foreign or no lifting engine, ``PoseedgeError`` if there is no CUDA.
    """
    facts = read_facts(path)
    cuda = open_cuda()
    try:
        if facts is not None:
            require_fit(path, facts, trt.__version__, device_identity(cuda))
        plan = path.read_bytes()
    except BaseException:
        cuda.close()
        raise
    session = Session(path, plan, cuda, facts is not None and facts.version_compatible, cuda_graph)
    try:
        provider = "TensorRT {} sm_{}{}".format(trt.__version__, *cuda.capability)
        return OpenPlan(path, session, engine_spec(path, facts, session), facts, provider)
    except BaseException:
        session.close()
        raise


def engine_spec(path: Path, facts: EngineFacts | None, session: Session) -> LifterSpec:
    """Say what the engine takes and gives: from its facts, or from its shapes if it has none."""
    found = spec_from_shapes(path.stem, session.source_shape, session.target_shape)
    if found is None:
        raise ArtefactError(
            f"{path}: no lifting engine: expected (B, T, 17, 2) -> (B, T_out, 17, 3), "
            f"found {session.source_shape} -> {session.target_shape}"
        )
    if facts is None:
        if session.caches:
            raise ArtefactError(f"{path}: takes frames one by one, and nothing beside it says of what windows", "build it again")
        return found
    told = facts.spec
    if session.caches:
        found = replace(found, frames=told.frames)
    if (told.frames, len(told.output_frames), told.channels) != (found.frames, len(found.output_frames), found.channels):
        raise ArtefactError(f"{path}: takes and gives other shapes than its JSON file says", "build it again")
    return told
