"""NVIDIA's own compiler takes every graph of every network, whole, and keeps INT8 weights small.

It runs where the package is installed, without a GPU, and is skipped elsewhere. Configurations are small; the default ones
are recorded in ``benchmarks/results/compile_sm86.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.compile_graphs import build, graphs_of
from poseedge.arrays import AnyArray
from poseedge.graph.graph import Graph
from poseedge.targets.aot import Compiler, missing_part
from poseedge.targets.boards import DECOMPOSED, MODERN, load_target
from poseedge.targets.preflight import check_graph, passed
from tests.support import bad_graphs, qdq_graphs, small_graphs
from tests.support.networks import LIFTING, small, small_recipe, windows

pytestmark = pytest.mark.slow

needs_compiler = pytest.mark.skipif(missing_part()[0] != "", reason=missing_part()[0] or "it is here")
TARGETS = {MODERN: ("default", "jetson-thor"), DECOMPOSED: ("jetson-nano", "jetson-xavier-nx")}


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with Compiler() as ready:
        yield ready


def lifted(graph: Graph, samples: AnyArray) -> AnyArray:
    return np.concatenate([graph.run(window[None]) for window in samples])


def distance(one: AnyArray, other: AnyArray) -> float:
    """Return the mean distance between poses."""
    return float(np.linalg.norm(one - other, axis=-1).mean())


@needs_compiler
@pytest.mark.parametrize("opset", [MODERN, DECOMPOSED])
@pytest.mark.parametrize("name", LIFTING)
def test_every_graph_builds_whole_and_int8_is_small(compiler: Compiler, name: str, opset: int) -> None:
    network = small(name)
    samples = np.concatenate([windows(network, 2).numpy(), windows(network, 1).numpy() * 0.5])
    sizes = {}
    recipe = small_recipe(name)
    graphs = graphs_of(network, recipe, opset, samples)
    for precision, graph in graphs.items():
        if precision == "int8-fp16 steady" and name != "nanohtnet":
            continue  # the casts of one around the products of another, which are built
        compiled, row = build(compiler, graph)
        assert compiled.built, (precision, compiled.error, compiled.outside)
        assert row["findings"] == []
        sizes[precision] = compiled.weight_bytes
        for target in map(load_target, TARGETS[opset]):
            assert passed(check_graph(graph, target)) == (precision.split()[0] in target.precisions)
    assert sizes["int8"] < sizes["fp32"]
    assert sizes["fp16"] < sizes["fp32"]
    if opset == MODERN:
        assert sizes["int8-fp16"] < min(sizes["int8"], sizes["fp16"])
        exact, rounded, mixed = (lifted(graphs[precision], samples) for precision in ("fp32", "int8", "int8-fp16"))
        assert distance(mixed, exact) < 1.2 * distance(rounded, exact)


def fourier() -> onnx.ModelProto:
    return small_graphs.make_model([small_graphs.node("DFT", ["x"], ["y"], name="dft", axis=1)], shape=(1, 32, 1))


@needs_compiler
@pytest.mark.parametrize(
    ("model", "says"),
    [(bad_graphs.BAD["qdq-uint8"].model, "UINT8"), (bad_graphs.BAD["double"].model, ""), (fourier, "DFT")],
    ids=["uint8", "double", "DFT"],
)
def test_nvidia_refuses_what_the_rules_refuse(
    compiler: Compiler, model: Callable[[], onnx.ModelProto], says: str, tmp_path: Path
) -> None:
    assert not passed(check_graph(Graph(model()), load_target("default")))
    onnx.save(model(), tmp_path / "bad.onnx")
    compiled = compiler.compile(tmp_path / "bad.onnx")
    assert not compiled.built
    assert says in compiled.error


@needs_compiler
def test_time_limit_is_kept_and_told(compiler: Compiler, tmp_path: Path) -> None:
    onnx.save(qdq_graphs.quantized(), tmp_path / "good.onnx")
    assert compiler.compile(tmp_path / "good.onnx", seconds=0.01).error == "no result after 0.01 s"
    assert compiler.compile(tmp_path / "good.onnx").built


@needs_compiler
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with Compiler() as own:
        folder = own.folder
    assert not folder.exists()
