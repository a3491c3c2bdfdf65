"""``poseedge build`` makes engines that ``eval``, ``bench`` and ``profile`` take like any other artefact."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from poseedge.targets.boards import load_target
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.install import child_environment, uninstall
from tests.support.engines import write_graph
from tests.support.lifting_bundle import load_runner
from tests.support.user import Command

MAIN = "from poseedge.cli.app import main; main()"


@pytest.fixture(scope="session")
def old_bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle for a board before TensorRT 8.6: opset 13, layer norms decomposed."""
    from poseedge.export.pipeline import export_bundle
    from tests.support import small_export

    folder = tmp_path_factory.mktemp("bundle") / "old"
    target = load_target("jetson-agx-xavier-jp5.1")
    export_bundle(replace(small_export.job(export_inputs, folder), target=target))
    return folder


@pytest.fixture
def bundle(device: Fake, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a bundle that this device reads, to build in."""
    made = request.getfixturevalue("small_bundle" if device.release >= (8, 6) else "old_bundle")
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.fixture(params=["10.3.0", "10.13.3.9", "11.4.1.4"])
def some_later_device(request: pytest.FixtureRequest, install_tensorrt: Install) -> Fake:
    return install_tensorrt(request.param)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_is_built_and_proved(device: Fake, poseedge: Command, bundle: Path, data: Path, precision: str) -> None:
    built = poseedge("build", bundle, "--precision", precision, "--json")
    assert built.status == 0, built.err
    assert (built.json["built"], built.json["precision"], built.json["tensorrt"]) == (True, precision, device.version)
    found = poseedge("eval", built.json["engine"], "--against", "checkpoint", "--data", data, "--json")
    assert found.status == 0, found.err
    assert (found.json["backend"], found.json["precision"]) == ("tensorrt", precision)
    assert found.json["parity"]["passed"] is True


def test_int8_of_a_bundle_is_the_graph_whose_rest_is_fp16_where_strongly_typed(
    some_later_device: Fake, poseedge: Command, mixed_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(mixed_bundle, tmp_path / "mixed"))
    taken = "int8-fp16" if some_later_device.release >= (10, 12) else "int8"
    built = poseedge("build", bundle, "--precision", "int8", "--json")
    assert (built.status, built.json["precision"]) == (0, taken), built.err
    assert Path(built.json["engine"]).name.startswith(f"nanohtnet_{taken}.")
    named = poseedge("build", bundle, "--precision", "int8-fp16", "--json")
    assert named.status == (0 if taken == "int8-fp16" else 2)
    assert ("takes precision from builder flags" in named.err) == (taken == "int8")
    itself = poseedge("build", bundle / "nanohtnet_int8.onnx", "--json")
    assert itself.json["precision"] == "int8"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_bundles_own_runner_holds_the_same_nodes_in_fp32(
    install_tensorrt: Install, poseedge: Command, old_bundle: Path, tmp_path: Path, precision: str
) -> None:
    fake = install_tensorrt("8.5.2.2")
    bundle = Path(shutil.copytree(old_bundle, tmp_path / "bundle"))
    assert poseedge("build", bundle, "--precision", precision).status == 0
    assert load_runner(bundle / "run.py").main(["--precision", precision, "--runs", "1", "--warmup", "0"]) == 0
    built, run = fake.built
    assert len(built.pinned) > 10
    assert (built.pinned, built.flags) == (run.pinned, run.flags)


def test_an_int8_engine_holds_in_fp32_what_the_half_precision_one_does(
    install_tensorrt: Install, poseedge: Command, old_bundle: Path, tmp_path: Path
) -> None:
    """Its rest runs in half precision there: raw coordinates, norms with a scale of their own, a frame selection."""
    fake = install_tensorrt("8.5.2.2")
    bundle = Path(shutil.copytree(old_bundle, tmp_path / "bundle"))
    for precision in ("fp16", "int8"):
        assert poseedge("build", bundle, "--precision", precision).status == 0
    half, rounded = (set(plan.pinned) for plan in fake.built)
    held = {node.name for node in onnx.load(bundle / "nanohtnet_int8.onnx").graph.node}
    assert len(half & held) > 10
    assert half & held <= rounded


def test_tensorrt_that_reads_no_int8_constants_takes_the_bundle_of_its_target(
    install_tensorrt: Install, poseedge: Command, small_bundle: Path, old_bundle: Path, tmp_path: Path
) -> None:
    """Whether 8.5 to 9 read them is not settled."""
    install_tensorrt("8.6.2.3").stored_int8 = False
    small, old = (Path(shutil.copytree(made, tmp_path / made.name)) for made in (small_bundle, old_bundle))
    refused = poseedge("build", small, "--precision", "int8")
    assert refused.status == 2
    assert "invalid weights type of Int8" in refused.err
    assert poseedge("build", old, "--precision", "int8").status == 0


def test_a_person_is_told_what_was_built_and_what_to_type_next(some_device: Fake, poseedge: Command, own_bundle: Path) -> None:
    said = poseedge("build", own_bundle, "--precision", "fp16")
    engine = own_bundle / "engines" / "nanohtnet_fp16.10.3.0.sm_87.engine"
    assert said.out.splitlines()[-1] == f"next: poseedge eval {engine} --against checkpoint"
    assert "weak typing, builder flags: FP16" in said.out
    assert "before; it fits" in poseedge("build", own_bundle, "--precision", "fp16").out


def test_a_bare_graph_is_built_in_its_own_precision(some_device: Fake, poseedge: Command, own_bundle: Path) -> None:
    graph = own_bundle / "nanohtnet_int8.onnx"
    assert poseedge("build", graph, "--json").json["precision"] == "int8"


def test_trtexec_is_printed_and_nothing_is_built(some_device: Fake, poseedge: Command, graph: Path) -> None:
    said = poseedge("build", graph, "--trtexec")
    assert said.out.startswith(f"trtexec --onnx={graph} --saveEngine=")
    assert some_device.built == []


def test_trtexec_command_is_json_for_who_reads_json(some_device: Fake, poseedge: Command, graph: Path) -> None:
    assert poseedge("build", graph, "--trtexec", "--json").json["trtexec"].startswith("trtexec --onnx=")


@pytest.mark.parametrize(
    ("option", "error"), [(("--batch", 4), "its batch is 1, and not free"), (("--calib", "x"), "--calib: fp16 of .* needs no")]
)
def test_options_that_a_graph_cannot_take_are_refused(
    some_device: Fake, poseedge: Command, own_bundle: Path, option: tuple[object, ...], error: str
) -> None:
    outcome = poseedge("build", own_bundle, "--precision", "fp16", *option)
    assert (outcome.status, some_device.built) == (2, [])
    assert re.search(error, outcome.err)


def test_profile_names_the_nodes_of_each_layer(device: Fake, poseedge: Command, graph: Path) -> None:
    engine = poseedge("build", graph, "--json").json["engine"]
    found = poseedge("profile", engine, "--runs", "5", "--json").json
    layers = found["layers"]
    assert layers[0]["nodes"] == []  # the change of format in front
    assert [layer["nodes"] for layer in layers[1:]] == [["choose"], ["lift", "shift"], ["selected_frames"]]
    assert sum(layer["share"] for layer in layers) == pytest.approx(1)
    lift = layers[2]
    assert lift["mean_ms"] == pytest.approx(0.2)  # two fifths of what the stand-in takes for a run
    assert (lift["kind"], lift["types"]) == ("gemm", ["Float" if device.release >= (11, 0) else "Row major Float"])
    assert "lift, shift" in poseedge("profile", engine, "--runs", "5").out


def test_bench_times_the_engines_of_a_bundle(
    some_device: Fake, poseedge: Command, own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poseedge.bench.memory.QUICK_MS", 0.0)  # each is started once
    engine = poseedge("build", own_bundle, "--precision", "fp16", "--json").json["engine"]
    for name, value in child_environment(tmp_path, some_device.version).items():
        monkeypatch.setenv(name, value)
    said = poseedge("bench", own_bundle, "--precision", "fp16", "--rounds", "1", "--frames", "0", "--json")
    assert said.status == 0, said.err
    row = next(row for row in said.json["rows"] if row["backend"] == "tensorrt")
    assert (row["artefact"], row["precision"], row["provider"]) == (engine, "fp16", "TensorRT 10.3.0 sm_87")
    assert row["flops"] > 0
    assert row["file_bytes"] == Path(engine).stat().st_size


def test_bench_leaves_out_engines_that_are_foreign_and_says_so(
    install_tensorrt: Install, poseedge: Command, own_bundle: Path
) -> None:
    from poseedge.bench.entries import subjects_of

    install_tensorrt("10.3.0")
    poseedge("build", own_bundle, "--precision", "fp16")
    install_tensorrt("11.4.1.4")
    subjects, remarks = subjects_of(own_bundle)
    assert all(subject.path.suffix != ".engine" for subject in subjects)
    assert "built by TensorRT 10.3.0, this is TensorRT 11.4.1.4" in remarks[0]
    assert f"no TensorRT engine for fp32, fp16, int8: poseedge build {own_bundle}" in remarks[1]


# What cannot be done: one message, exit status 2, nothing left behind


def refused(outcome: Any, *words: str) -> None:
    """Check status and message."""
    assert outcome.status == 2, outcome
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def test_faults_of_a_build(device: Fake, poseedge: Command, graph: Path) -> None:
    device.build_error = "Could not find any implementation for node lift"
    refused(poseedge("build", graph), "cannot build it: TensorRT says: Could not find any implementation for node lift")
    assert list((graph.parent / "engines").iterdir()) == []


def test_ctrl_c_in_a_build(device: Fake, poseedge: Command, graph: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    device.on_build = interrupt
    refused(poseedge("build", graph), "the build was interrupted; no engine was written")
    assert list((graph.parent / "engines").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "fp8"], "there is no precision 'fp8'"),
        (["--batch", "4", "--max-batch", "2"], "batch 4 is not between 1 and the largest batch, 2"),
    ],
)
def test_wrong_options(some_device: Fake, poseedge: Command, graph: Path, arguments: list[str], words: str) -> None:
    refused(poseedge("build", graph, *arguments), words)


def test_wrong_artefacts(some_device: Fake, poseedge: Command, tmp_path: Path, export_inputs: Path) -> None:
    refused(poseedge("build", tmp_path / "absent.onnx"), "absent.onnx: no such file")
    refused(poseedge("build", export_inputs / "small.pth"), "engines are built from a bundle or an .onnx file")
    refused(poseedge("profile", tmp_path / "absent.engine"), "absent.engine: no TensorRT engine")


def test_a_machine_without_tensorrt(poseedge: Command, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "tensorrt")
    refused(poseedge("build", graph), "'tensorrt', which is not installed here", "poseedge[tensorrt]")


def test_eval_of_a_foreign_engine_names_both_versions(install_tensorrt: Install, poseedge: Command, graph: Path) -> None:
    install_tensorrt("8.6.2.3")
    engine = poseedge("build", graph, "--json").json["engine"]
    install_tensorrt("10.3.0")
    refused(poseedge("eval", engine), "built by TensorRT 8.6.2.3, this is TensorRT 10.3.0", "hint: build it again, here")


@pytest.mark.slow
def test_two_processes_that_build_the_same_engine_share_one_build(graph: Path, tmp_path: Path) -> None:
    environment = child_environment(tmp_path, "10.3.0", build_s=1.0)
    command = [sys.executable, "-c", MAIN, "build", str(graph), "--json"]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert sorted(json.loads(out)["built"] for out, _ in ends) == [False, True]
    assert sum("another process builds" in err for _, err in ends) <= 1


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [(signal.SIGINT, 2, "the build was interrupted; no engine was written"), (signal.SIGKILL, -signal.SIGKILL, "")],
    ids=["Ctrl-C", "kill"],
)
def test_a_build_that_is_stopped_leaves_nothing_and_blocks_nobody(
    some_device: Fake, poseedge: Command, graph: Path, tmp_path: Path, sent: signal.Signals, status: int, words: str
) -> None:
    environment = child_environment(tmp_path, "10.3.0", build_s=60)
    command = [sys.executable, "-c", MAIN, "build", str(graph)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        while not (tmp_path / "building").exists() and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(sent)
        _, said = child.communicate(timeout=60)
    assert child.returncode == status, said
    assert words in said
    assert list((graph.parent / "engines").iterdir()) == []
    assert poseedge("build", graph).status == 0
