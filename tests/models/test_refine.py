"""What the refine modules have in common."""

from __future__ import annotations

import numpy as np
import torch

from poseedge.models.refine import back_project
from tests.support import golden


def test_back_projection_equals_the_strided_transformers() -> None:
    stored = {key: torch.from_numpy(value) for key, value in golden.arrays("strided_transformer-refine").items()}
    poses = back_project(stored["uv"], stored["input"], stored["root"][:, :, 0, 2], stored["cam"])
    np.testing.assert_allclose(poses, stored["xyz"], rtol=1e-4, atol=1e-5)


def test_back_projection_equals_graphmlps() -> None:
    stored = {key: torch.from_numpy(value) for key, value in golden.arrays("graphmlp-refine").items()}
    pad = golden.case("graphmlp-refine")["pad"]
    centre, root_depth = stored["uv"][:, pad : pad + 1], stored["gt"][:, pad : pad + 1, 0, 2]
    poses = back_project(centre, stored["input"], root_depth, stored["cam"])
    np.testing.assert_allclose(poses, stored["input_1"], rtol=1e-4, atol=1e-5)


def test_refinement_leaves_the_depth_as_lifted() -> None:
    stored = {key: torch.from_numpy(value) for key, value in golden.arrays("graphmlp-refine").items()}
    with torch.no_grad():
        refined = golden.network("graphmlp-refine")(stored["input"], stored["input_1"])
    np.testing.assert_array_equal(refined[..., 2], stored["input"][..., 2])
