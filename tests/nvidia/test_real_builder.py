"""NVIDIA's own parser and builder, without a GPU, do what ``poseedge build`` and ``run.py`` tell them.

Opt-in (``make test-nvidia``): TensorRT-RTX's Python module is TensorRT's own interface, and builds where no driver is. What it
cannot show: an engine that runs, older parsers, weak typing. Networks are small, as elsewhere in the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.compile_graphs import graphs_of
from poseedge.targets.boards import MODERN
from tests.support.engines import write_graph
from tests.support.lifting_bundle import write_bundle
from tests.support.networks import LIFTING, exported, small, small_recipe, windows

pytestmark = [
    pytest.mark.nvidia,
    pytest.mark.skipif(find_spec("tensorrt_rtx_bindings") is None, reason="make test-nvidia installs NVIDIA's builder"),
]
MEMORY = ["--workspace-mib", "1024"]  # what 8 windows at once take in some networks
TYPED = ("fp32", "fp16", "int8", "int8-fp16")  # the library takes precision from the graph alone


@dataclass
class Built:
    """What became of one job."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def told(self) -> dict[str, Any]:
        """What --json printed."""
        return dict(json.loads(self.out))


def run_jobs(folder: Path, jobs: list[list[str]]) -> list[Built]:
    """Do ``jobs`` in a process of their own: a crash of the library is a failed test, not the end of all."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run([sys.executable, "-m", "tests.nvidia.child", str(folder)], capture_output=True, text=True, check=False)
    found = folder / "done.json"
    results = [Built(**result) for result in json.loads(found.read_text())] if found.exists() else []
    assert len(results) == len(jobs), f"it ended at {jobs[len(results)]} ({done.returncode}): {done.stderr[-2000:]}"
    return results


@pytest.mark.parametrize("name", LIFTING)
def test_every_graph_of_every_network_builds(tmp_path: Path, name: str) -> None:
    network = small(name)
    samples = np.concatenate([windows(network, 2).numpy(), windows(network, 1).numpy() * 0.5])
    graphs = {key: graph for key, graph in graphs_of(network, small_recipe(name), MODERN, samples).items() if key in TYPED}
    for precision, graph in graphs.items():
        onnx.save(graph.proto, tmp_path / f"{name}_{precision}.onnx")
    onnx.save(exported(name, MODERN, free_batch=True).proto, tmp_path / f"{name}_free.onnx")
    jobs = [[str(tmp_path / f"{name}_{precision}.onnx"), "--precision", precision, "--json"] for precision in graphs]
    jobs.append(
        [str(tmp_path / f"{name}_free.onnx"), "--precision", "fp32", "--batch", "4", "--max-batch", "8", "--json", *MEMORY]
    )
    results = run_jobs(tmp_path, jobs)
    for words, result in zip(jobs, results, strict=True):
        assert result.status == 0, (words, result.err)
        assert (result.told["built"], result.told["route"]["typing"]) == (True, "strong")
        print(f"\n{Path(words[0]).stem}: {result.told['bytes'] / 1e6:.2f} MB, {result.told['build_s']:.2f} s", end="")
    assert [path.name for path in (tmp_path / "engines").glob("*.timing")] == ["1.7.1.116.sm_86.timing"]


def test_engine_is_kept_and_options_reach_the_builder(tmp_path: Path) -> None:
    graph = str(write_graph(tmp_path / "small.onnx"))
    options = ["--optimization-level", "1", "--workspace-mib", "64"]
    first, again, other = results = run_jobs(tmp_path, [[graph, "--json"], [graph, "--json"], [graph, "--json", *options]])
    assert [result.status for result in results] == [0, 0, 0], other.err
    assert [first.told["built"], again.told["built"], other.told["built"]] == [True, False, True]
    assert first.told["build_s"] == again.told["build_s"]
    assert "differs in options" in other.err


def test_node_that_nvidias_parser_refuses_is_named(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "small.onnx")
    model = onnx.load(graph)
    outputs = ["y", "y_scale", "y_zero"]
    model.graph.node.append(onnx.helper.make_node("DynamicQuantizeLinear", ["keypoints"], outputs, name="hostile"))
    onnx.save(model, graph)
    [result] = run_jobs(tmp_path, [[str(graph), "--precision", "fp32"]])
    assert result.status == 2
    assert "node 'hostile' (DynamicQuantizeLinear)" in result.err.replace("\n", " ")


def test_bundles_runner_builds_and_says_why_no_engine_runs_here(tmp_path: Path) -> None:
    runner = write_bundle(tmp_path / "bundle")
    [result] = run_jobs(tmp_path, [[str(runner), "--precision", "fp16"]])
    assert result.status == 2
    assert "building fp16.1.7.1.116.sm_86.plan" in result.err
    assert (tmp_path / "bundle" / "fp16.1.7.1.116.sm_86.plan").stat().st_size > 1000
    assert "built, but it cannot be loaded: TensorRT says:" in result.err.splitlines()[-1]
