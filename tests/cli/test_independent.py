"""``poseedge eval`` against a few lines of numpy that share no code with it but the artefact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from poseedge.arrays import Float64Array
from tests.support.folders import Folder, excerpt
from tests.support.user import Command


def rotation(w: float, x: float, y: float, z: float) -> Float64Array:
    """Return the matrix of a unit quaternion, camera to world."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def mpjpe_by_hand(graph: Path, folder: Folder, subject: str) -> float:
    """Return the MPJPE of an ONNX file on a folder's content, metres."""
    session = ort.InferenceSession(str(graph))
    source, frames = session.get_inputs()[0].name, session.get_inputs()[0].shape[1]
    errors: list[Any] = []
    for action, world in folder.motion[subject].items():
        for pixels, camera in zip(folder.tracks[subject][action], folder.cameras[subject], strict=True):
            truth = (world.astype(np.float64) - camera["translation"]) @ rotation(*camera["orientation"])
            screen = 2 * pixels / camera["res_w"] - [1, camera["res_h"] / camera["res_w"]]
            for t in range(len(world)):
                window = np.stack([screen[min(max(t + k - frames // 2, 0), len(world) - 1)] for k in range(frames)])
                pose = session.run(None, {source: window[None].astype(np.float32)})[0][0]
                pose = pose[len(pose) // 2].astype(np.float64)
                pose[0] = 0
                errors.append(np.sqrt(((pose - (truth[t] - truth[t, 0])) ** 2).sum(axis=-1)))
    return float(np.mean(errors))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_eval_gives_the_same_mpjpe_as_a_few_lines_of_numpy(
    poseedge: Command, small_bundle: Path, data: Path, precision: str
) -> None:
    report = poseedge("eval", small_bundle, "--precision", precision, "--data", data, "--json").json
    by_hand = mpjpe_by_hand(small_bundle / f"nanohtnet_{precision}.onnx", excerpt(), "S9")
    assert report["mpjpe_mm"] / 1000 == pytest.approx(by_hand, abs=1e-6)
