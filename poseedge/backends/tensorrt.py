"""A TensorRT engine as a lifter."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import TracebackType

import tensorrt as trt

from poseedge.arrays import Float32Array
from poseedge.backends.batches import lift_in_batches
from poseedge.engines.cuda import open_cuda
from poseedge.engines.facts import EngineFacts, read_facts, require_fit
from poseedge.engines.session import Session
from poseedge.errors import ArtefactError
from poseedge.lifter import LifterSpec, check_keypoints, spec_from_shapes


class TensorRTLifter:
    """An engine on device 0. Any thread may call it; calls take turns, so give each thread its own for more speed.

    It is released by ``close``, at the end of ``with``, when nobody refers to it any more, or when the program ends.
    """

    backend = "tensorrt"

    def __init__(self, path: Path, cuda_graph: bool = True) -> None:
        """Open ``path``; what lies beside it in JSON says what it is and must fit this device.

        Raises ``ArtefactError`` if it is damaged, foreign or no lifting engine, ``PoseedgeError`` if there is no CUDA.
        """
        self.path, self.facts = path, read_facts(path)
        cuda = open_cuda()
        sm = "sm_{}{}".format(*cuda.capability)
        try:
            if self.facts is not None:
                require_fit(path, self.facts, trt.__version__, sm)
            plan = path.read_bytes()
        except BaseException:
            cuda.close()
            raise
        self.provider = f"TensorRT {trt.__version__} {sm}"
        self.session = Session(path, plan, cuda, self.facts is not None and self.facts.version_compatible, cuda_graph)
        self.close = weakref.finalize(self, self.session.close)
        self.spec = engine_spec(path, self.facts, self.session)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return lift_in_batches(self.session.run, check_keypoints(keypoints, self.spec), self.spec, self.session.most)

    def __enter__(self) -> TensorRTLifter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def engine_spec(path: Path, facts: EngineFacts | None, session: Session) -> LifterSpec:
    """Say what the engine takes and gives: from its facts, or from its shapes if it has none."""
    found = spec_from_shapes(path.stem, session.source_shape, session.target_shape)
    if found is None:
        raise ArtefactError(
            f"{path}: no lifting engine: expected (B, T, 17, 2) -> (B, T_out, 17, 3), "
            f"found {session.source_shape} -> {session.target_shape}"
        )
    if facts is None:
        return found
    told = facts.spec
    if (told.frames, len(told.output_frames), told.channels) != (found.frames, len(found.output_frames), found.channels):
        raise ArtefactError(f"{path}: takes and gives other shapes than its JSON file says", "build it again")
    return told
