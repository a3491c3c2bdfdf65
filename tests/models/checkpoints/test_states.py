"""The state dict inside a checkpoint is found under whatever tools put around it, and holds weights alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from poseedge.backends.registry import load
from poseedge.models import load_checkpoint
from poseedge.models.checkpoints.states import WRAPPERS, bare
from tests.support import golden
from tests.support.checkpoint_files import assert_is_the_network, assert_misfit, saved, state


@pytest.mark.slow
@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "module.module.", "net._orig_mod."]
)
def test_prefixes_of_tools_are_taken_off(tmp_path: Path, prefix: str) -> None:
    assert_is_the_network(saved(tmp_path, {f"{prefix}{key}": value for key, value in state().items()}))


@pytest.mark.parametrize("name", golden.CASES)
def test_no_network_s_own_keys_begin_as_a_tool_s_prefix(name: str) -> None:
    assert [key for key in golden.shapes(name) if bare(key) != key] == []


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_state_dict_is_found(tmp_path: Path, wrapper: str) -> None:
    assert_is_the_network(saved(tmp_path, {"epoch": 3, "lr": 1e-3, wrapper: state()}))


@pytest.mark.slow
def test_state_dict_in_two_wrappers_is_found(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, {"model": {"state_dict": state(), "epoch": 3}}))


def test_wrapper_that_holds_itself_is_told(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    assert_misfit(saved(tmp_path, content), "holds no tensors")


@pytest.mark.slow
def test_what_thop_leaves_is_passed_over(tmp_path: Path) -> None:
    counts = {"total_ops": torch.zeros(1, dtype=torch.float64), "fc.total_params": torch.zeros(1, dtype=torch.float64)}
    assert_is_the_network(saved(tmp_path, state() | counts))


def test_counters_of_batch_norms_may_be_missing(tmp_path: Path) -> None:
    network = golden.network("videopose3d-strided")
    kept = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    loaded = load_checkpoint(saved(tmp_path, kept))
    assert loaded.state_dict()["expand_bn.num_batches_tracked"] == 0
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in kept.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.ckpt", "net.pth.tar", "net.pkl", "net.PTH", "net.t7", "net", "net.weights"])
def test_content_tells_a_checkpoint_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    for zipped in (True, False):
        torch.save(state(), tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert_is_the_network(tmp_path / name)
        assert load(tmp_path / name).spec.model == "nanohtnet"


@pytest.mark.slow
def test_options_of_the_training_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    assert_is_the_network(saved(tmp_path, {"args": argparse.Namespace(lr=1e-3, gpu="0"), "state_dict": state()}))


@pytest.mark.slow
@pytest.mark.parametrize("numpy", [b"numpy._core", b"numpy.core"])  # 2.x, 1.x
def test_random_state_and_metrics_beside_the_weights_are_passed_over(tmp_path: Path, numpy: bytes) -> None:
    content = {
        "epoch": 3,
        "lr": 1e-3,
        "random_state": np.random.RandomState(0),
        "min_loss": np.float64(41.0),
        "model_pos": {f"module.{key}": value for key, value in state().items()},
    }
    torch.save(content, tmp_path / "new.pth", _use_new_zipfile_serialization=False)
    written = (tmp_path / "new.pth").read_bytes()
    assert b"numpy._core" in written
    (tmp_path / "net.pth").write_bytes(written.replace(b"numpy._core", numpy))
    assert_is_the_network(tmp_path / "net.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"state_dict": {}}, {3: torch.zeros(2)}, {("a", 1): torch.zeros(2)}])
def test_dictionary_without_named_tensors_is_told(tmp_path: Path, content: dict[Any, Any]) -> None:
    assert_misfit(saved(tmp_path, content), "holds no tensors")


# What cannot be a weight


def bad(dtype: torch.dtype) -> Tensor:
    return torch.ones(3, dtype=dtype)


FAULTS: dict[str, tuple[Callable[[], Tensor], str]] = {
    "complex": (lambda: bad(torch.complex64), "fc.bias holds torch.complex64, not floats"),
    "int8": (lambda: bad(torch.int8), "fc.bias holds torch.int8, not floats"),
    "bool": (lambda: bad(torch.bool), "fc.bias holds torch.bool, not floats"),
    "sparse": (lambda: torch.ones(3).to_sparse(), "fc.bias is sparse"),
    "meta": (lambda: torch.ones(3, device="meta"), "fc.bias has a shape, but no values"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "fc.bias holds torch.qint8, not floats"),
    "NaN": (lambda: torch.tensor([0.0, float("nan"), 0.0]), "fc.bias holds NaN or infinity"),
    "infinity": (lambda: torch.tensor([0.0, float("inf"), 0.0]).half(), "fc.bias holds NaN or infinity"),
    "expanded": (lambda: torch.ones(1).expand(10**9), "fc.bias claims 1000000000 values, of which the file holds 1"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", FAULTS)
def test_weight_that_is_none_is_refused_by_name_before_anything_else(tmp_path: Path, fault: str) -> None:
    make, said = FAULTS[fault]
    assert_misfit(saved(tmp_path, {"unknown.weight": torch.ones(2)} | state() | {"fc.bias": make()}), said)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_one_weight_under_two_names_is_refused(tmp_path: Path, prefix: str) -> None:
    content = state() | {f"{prefix}fc.bias": torch.ones(3)}
    assert_misfit(saved(tmp_path, content), f"holds fc.bias beside {prefix}fc.bias: one weight twice")
