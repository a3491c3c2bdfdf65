"""``poseedge bench --host``: a real ssh client and server on loopback; TensorRT there is the double, which computes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import open_bundle
from poseedge.device import far_end
from poseedge.device.ssh import Host, files_to_copy, unreachable
from poseedge.files import sha256_of
from tests.support.python36 import ALLOWED
from tests.support.ssh_server import PASSWORD, Server, serve
from tests.support.user import Command, Outcome, assert_refused

ROOT = Path(__file__).parents[3]
PATIENCE_S = 90  # on a machine that is busy with other things
# As a program there imports it: the stand-ins take the place of these modules.
TENSORRT = """
import pytest
from tests.doubles.gpu import Gpu
from tests.doubles.install import install
install(pytest.MonkeyPatch(), "10.3.0", Gpu({capability}))
"""
SLEEPY = """
import os, pathlib, time
pathlib.Path({started!r}).write_text(str(os.getpid()))
print("run.py: building", flush=True)
time.sleep(60)
"""
IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
COMMAND_LINE = "from poseedge.cli.app import main; main()"
REFUSES_INT8 = """
import sys
if "int8" in sys.argv:
    print("run.py: not today", file=sys.stderr)
    sys.exit(2)
"""
Bench = Callable[..., Outcome]

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh client here")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An ssh server whose python3 has the stand-ins for TensorRT and pycuda; no folder of ours remains there."""
    site, programs = tmp_path / "site", tmp_path / "bin"
    site.mkdir()
    programs.mkdir()
    (site / "tensorrt.py").write_text(TENSORRT.format(capability=(8, 7)))
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python3").chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": f"{site}:{ROOT}", "HOME": str(tmp_path / "home")}
    with serve(tmp_path / "server", environment) as server:
        yield server
        assert leftovers(server) == []


def leftovers(server: Server) -> list[Path]:
    """Return the folders that poseedge left there."""
    return list(server.temporary.glob("poseedge*"))


@pytest.fixture
def bench(poseedge: Command, server: Server) -> Bench:
    """Return ``poseedge bench --host``, with few runs."""
    options = ["--host", "127.0.0.1", "--port", server.port, "--rounds", "1"]
    return lambda bundle, *more, key="client": poseedge("bench", bundle, *options, "--ssh", server.ssh(key), *more)


def with_runner(bundle: Path, source: str) -> Path:
    """Give a bundle another ``run.py``, which its manifest vouches for."""
    (bundle / "run.py").write_text(source)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"]["run.py"] = sha256_of(bundle / "run.py")
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle


def test_rows_come_back_with_times_and_distances(bench: Bench, small_bundle: Path) -> None:
    outcome = bench(small_bundle, "--json")
    assert outcome.status == 0, outcome.err
    rows = outcome.json["rows"]
    assert [(row["precision"], row["cuda_graph"]) for row in rows] == [
        (precision, graph) for precision in ("fp32", "fp16", "int8") for graph in (False, True)
    ]
    assert all(row["backend"] == "tensorrt" and row["latency_ms"]["n"] == 8 and row["passed"] for row in rows)
    assert rows[0]["distance_mm"]["mean"] < 0.1 < rows[-1]["distance_mm"]["mean"]
    assert rows[0]["flops"] > 0
    assert (outcome.json["machine"]["host"], outcome.json["machine"]["gpu"]) == ("127.0.0.1", "Orin")


def test_table_is_that_of_a_local_measurement(bench: Bench, small_bundle: Path) -> None:
    outcome = bench(small_bundle, "--precision", "fp16")
    assert outcome.status == 0, outcome.err
    for text in (
        "nanohtnet_fp16.onnx as a CUDA graph",
        "distance",
        "MFLOP",
        "GPU",
        "with TensorRT 10.3.0 sm_87",
        "built there in",
    ):
        assert text in outcome.out
    assert outcome.out.strip().splitlines()[-1] == f"next: poseedge eval {small_bundle} --precision fp16 --against checkpoint"


def test_engines_stay_there_for_the_next_time(bench: Bench, small_bundle: Path, tmp_path: Path) -> None:
    def said(*more: str) -> list[str]:
        return [line for line in bench(small_bundle, "--precision", "fp16", *more).out.splitlines() if "engine" in line]

    assert "fp16: the engine was built there in" in said()[0]
    assert "fp16: with the engine that an earlier run built there" in said()[0]
    assert "fp16: the engine was built there in" in said("--rebuild")[0]
    assert len(list((tmp_path / "home/.cache/poseedge/engines").glob("*/nanohtnet_fp16.10.3.0.sm_87.plan"))) == 1


def test_engines_are_built_anew_where_none_can_stay(bench: Bench, small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    for _ in range(2):
        assert "the engine was built there in" in bench(small_bundle, "--precision", "fp32").out


def test_engines_of_the_graphs_built_last_stay(tmp_path: Path) -> None:
    for number in range(far_end.KEPT + 3):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        os.utime(folder, (number, number))
    far_end.forget_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "03"
    assert len(list(tmp_path.iterdir())) == far_end.KEPT


def test_rebuilding_is_for_another_machine(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("bench", small_bundle, "--rebuild"), "--rebuild goes with --host", "poseedge build --rebuild")


def test_runner_that_is_too_old_to_keep_engines_is_told(bench: Bench, own_bundle: Path) -> None:
    old = "import argparse\np = argparse.ArgumentParser()\nfor name in OPTIONS: p.add_argument(name)\np.parse_args()\n"
    names = ["--precision", "--json", "--backend", "--runs"]
    outcome = bench(with_runner(own_bundle, old.replace("OPTIONS", repr(names))), "--precision", "fp32")
    assert_refused(outcome, "unrecognized arguments: --engines", "export the bundle again")


def test_onnx_runtime_is_timed_there_when_asked_for(bench: Bench, small_bundle: Path) -> None:
    outcome = bench(small_bundle, "--backend", "onnxruntime", "--precision", "fp32", "--json")
    assert [(row["backend"], row["threads"]) for row in outcome.json["rows"]] == [("onnxruntime", 1)]


def test_only_what_a_precision_needs_travels(small_bundle: Path) -> None:
    files = files_to_copy(open_bundle(small_bundle), ["fp16"])
    assert list(files) == [MANIFEST, "run.py", "samples.npz", "nanohtnet_fp16.onnx"]
    manifest = json.loads(bytes(files[MANIFEST]))
    assert set(manifest["files"]) == set(files) - {MANIFEST}
    assert list(manifest["graphs"]) == ["fp16"]


def test_both_forms_of_int8_are_timed_where_one_would_be_taken_for_the_other(
    bench: Bench, mixed_bundle: Path, tmp_path: Path
) -> None:
    strong = TENSORRT.format(capability=(8, 7)).replace("10.3.0", "11.4.1.4")
    (tmp_path / "site" / "tensorrt.py").write_text(strong)
    outcome = bench(mixed_bundle, "--json")
    assert outcome.status == 0, outcome.err
    rows = outcome.json["rows"]
    assert [row["precision"] for row in rows if not row["cuda_graph"]] == ["int8", "int8-fp16"]
    assert rows[0]["distance_mm"] != rows[-1]["distance_mm"]


def test_poses_outside_the_limits_are_status_1(bench: Bench, own_bundle: Path) -> None:
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    manifest["limits"]["fp16"] = {"delta_mpjpe_mm": 1e-6, "mean_mm": 1e-6, "p99_mm": 1e-6}
    (own_bundle / MANIFEST).write_text(json.dumps(manifest))
    outcome = bench(own_bundle, "--precision", "fp16")
    assert outcome.status == 1
    assert "fp16: poses are NOT within the bundle's limits" in outcome.out


def test_precision_that_the_board_refuses_is_named_beside_those_that_ran(
    bench: Bench, small_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "site" / "tensorrt.py").write_text(TENSORRT.format(capability=(6, 2)))
    outcome = bench(small_bundle, "--precision", "fp32", "--precision", "int8")
    assert outcome.status == 1
    assert "int8 did not run: int8: Jetson TX2 (sm_62) has no INT8 hardware; use fp16" in outcome.out
    assert "nanohtnet_fp32.onnx" in outcome.out


def test_program_is_told_on_standard_error_what_did_not_run(bench: Bench, own_bundle: Path) -> None:
    outcome = bench(
        with_runner(own_bundle, REFUSES_INT8 + (own_bundle / "run.py").read_text()),
        "--precision",
        "fp32",
        "--precision",
        "int8",
        "--json",
    )
    assert [row["precision"] for row in outcome.json["rows"]] == ["fp32", "fp32"]
    assert (outcome.status, "note: int8 did not run: not today" in outcome.err) == (1, True)


def test_runner_that_breaks_is_shown_with_its_last_lines(bench: Bench, own_bundle: Path) -> None:
    outcome = bench(with_runner(own_bundle, "import this_is_missing\n"))
    assert outcome.status == 2
    assert "fp32: its runner broke (exit status 1):" in outcome.err
    assert "ModuleNotFoundError: No module named 'this_is_missing'" in outcome.err


def test_runner_that_takes_too_long_is_ended(bench: Bench, own_bundle: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    outcome = bench(with_runner(own_bundle, SLEEPY.format(started=str(started))), "--timeout", "1", "--precision", "fp32")
    assert_refused(outcome, "fp32: no result within 1 s", "--timeout")
    assert not alive(int(started.read_text()))


@pytest.mark.parametrize(
    ("module", "error", "hint"),
    [
        ("numpy", "No module named 'numpy'", "sudo apt install python3-numpy"),
        ("tensorrt", "TensorRT is not installed", "nvidia-jetpack"),
    ],
)
def test_what_its_python_lacks_is_named(
    bench: Bench, small_bundle: Path, tmp_path: Path, module: str, error: str, hint: str
) -> None:
    missing = f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')"
    (tmp_path / "site" / f"{module}.py").write_text(missing)
    assert_refused(bench(small_bundle, "--precision", "fp32"), error, hint)


def test_missing_python_is_told(bench: Bench, small_bundle: Path) -> None:
    assert_refused(bench(small_bundle, "--python", "python9"), "127.0.0.1: no python9 there", "--python")


def test_refused_authentication_is_told(bench: Bench, small_bundle: Path) -> None:
    assert_refused(bench(small_bundle, key="stranger"), "Permission denied", "ssh-copy-id -p")


def test_password_is_asked_for_at_a_terminal_before_anything_is_drawn(server: Server, small_bundle: Path) -> None:
    options = ["--host", "127.0.0.1", "--port", str(server.port), "--ssh", server.ssh("stranger"), "--rounds", "1"]
    command = [sys.executable, "-c", COMMAND_LINE, "bench", str(small_bundle), *options, "--precision", "fp32"]
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", IN_A_TERMINAL, *command], stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        shown = b""
        while b"assword:" not in shown:
            letter = process.stdout.read(1)
            assert letter, shown
            shown += letter
        process.stdin.write(PASSWORD.encode() + b"\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert process.wait() == 0, rest
    assert b"copying" not in shown
    assert b"copying" in rest
    assert b"measured on 127.0.0.1" in rest


def test_unknown_host_key_is_told(bench: Bench, small_bundle: Path, server: Server) -> None:
    (server.folder / "known_hosts").write_bytes(b"")
    assert_refused(bench(small_bundle), "Host key verification failed", "connect once by hand: ssh -p")


def test_port_on_which_nothing_listens_is_told(poseedge: Command, small_bundle: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        outcome = poseedge("bench", small_bundle, "--host", "127.0.0.1", "--port", port, "--ssh", "ssh -F none")
    assert_refused(outcome, "Connection refused", "is sshd running")


def test_missing_ssh_client_is_told(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("bench", small_bundle, "--host", "jetson", "--ssh", "no-such-ssh")
    assert_refused(outcome, "there is no ssh client here: 'no-such-ssh'", "openssh-client")


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "a b"])
def test_host_that_is_none_is_refused(poseedge: Command, small_bundle: Path, host: str) -> None:
    assert_refused(poseedge("bench", small_bundle, f"--host={host}"), "is no host", "user@host")


def test_host_without_a_name_is_refused(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("bench", small_bundle, "--host="), "an empty value after '--host'", "leave it out")


@pytest.mark.parametrize("option", [["--threads", 2], ["--batch", 2], ["--evicted"]])
def test_option_that_the_runner_does_not_have_is_refused(poseedge: Command, small_bundle: Path, option: list[object]) -> None:
    assert_refused(poseedge("bench", small_bundle, "--host", "jetson", *option), "one window at a time", "leave out")


def test_backend_that_the_runner_does_not_have_is_refused(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("bench", small_bundle, "--host", "jetson", "--backend", "tensorrt-rtx")
    assert_refused(outcome, "no backend 'tensorrt-rtx' with --host", "Known: tensorrt, onnxruntime")


def test_name_that_cannot_be_resolved_is_explained() -> None:
    said = "ssh: Could not resolve hostname jetsonn: Name or service not known"
    error = unreachable(Host("jetsonn"), 255, ["banner", said])
    assert error.message == f"jetsonn: ssh failed: {said}"
    assert "~/.ssh/config" in error.hint


def test_ctrl_c_ends_the_runner_and_leaves_nothing(server: Server, own_bundle: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    bundle = with_runner(own_bundle, SLEEPY.format(started=str(started)))
    options = ["--host", "127.0.0.1", "--port", str(server.port), "--ssh", server.ssh()]
    command = [sys.executable, "-c", COMMAND_LINE, "bench", str(bundle), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_until(partial(has_content, started))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to poseedge and the ssh client alike
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, None)
    assert "Traceback" not in said
    assert not alive(int(started.read_text()))


def test_far_end_cleans_up_when_the_caller_is_gone(tmp_path: Path) -> None:
    started = tmp_path / "started"
    runner = SLEEPY.format(started=str(started)).encode()
    job = {"files": [["run.py", len(runner)]], "precisions": ["fp32"], "arguments": [], "timeout_s": 60}
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, far_end.__file__], stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode() + b"\n" + runner)
        process.stdin.flush()
        wait_until(partial(has_content, started))
        assert len(list(tmp_path.glob("poseedge.*"))) == 1
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 1
    assert list(tmp_path.glob("poseedge.*")) == []
    assert not alive(int(started.read_text()))


def test_far_end_removes_a_bundle_that_arrives_cut(tmp_path: Path) -> None:
    job = {"files": [["run.py", 100]], "precisions": ["fp32"], "arguments": [], "timeout_s": 60}
    sent = json.dumps(job).encode() + b"\n" + b"half"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, far_end.__file__], input=sent, env=environment, capture_output=True)
    assert done.returncode == 1
    assert b"the connection ended before the bundle was here" in done.stderr
    assert list(tmp_path.glob("poseedge.*")) == []


def test_far_end_needs_its_library_alone() -> None:
    tree = ast.parse(Path(far_end.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= (ALLOWED | {"signal", "threading"}) - {"numpy"}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``, not for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_content(path: Path) -> bool:
    """Whether a file was written."""
    return path.exists() and bool(path.read_text())


def alive(process: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
