"""The command in a shell: pipes that end early, closed streams, interrupts, and errors for programs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import typer

from poseedge import __version__
from poseedge.cli.commands import application
from tests.support.user import Command

PROGRAM = "from poseedge.cli.app import main; main()"
COMMANDS = typer.main.get_command(application())


def leaves(command: object, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of every command below ``command``."""
    inner = getattr(command, "commands", None)
    return [leaf for name, each in inner.items() for leaf in leaves(each, (*words, name))] if inner else [words]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``poseedge`` is this one."""
    path = ":".join(sys.path)
    script = f"set -o pipefail; export PYTHONPATH='{path}'; poseedge() {{ '{sys.executable}' -c '{PROGRAM}' \"$@\"; }}; {line}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize("words", leaves(COMMANDS), ids=" ".join)
def test_help_of_every_verb_gives_an_example_and_the_same_with_h(poseedge: Command, words: tuple[str, ...]) -> None:
    outcome = poseedge(*words, "--help")
    assert outcome.status == 0
    said = " ".join(outcome.out.split())
    assert "Example: " in said
    assert f"poseedge {' '.join(words)}" in said.partition("Example: ")[2]
    assert poseedge(*words, "-h").out == outcome.out


def test_version_is_told(poseedge: Command) -> None:
    assert poseedge("--version").out == f"poseedge {__version__}\n"


@pytest.mark.slow
def test_shell_completion_is_offered(tmp_path: Path) -> None:
    done = shell("_POSEEDGE_COMPLETE=complete_bash COMP_WORDS='poseedge tar' COMP_CWORD=1 poseedge", tmp_path)
    assert "--show-completion" in shell("poseedge --help", tmp_path).stdout
    assert "targets" in done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("line", ["poseedge --version", "poseedge targets", "poseedge targets --json"])
def test_output_that_finds_no_room_is_one_error(tmp_path: Path, line: str) -> None:
    done = shell(f"{line} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert "standard output: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("line", ["poseedge targets --json", "poseedge targets", "poseedge --help"])
def test_reader_that_leaves_early_is_no_error(tmp_path: Path, line: str) -> None:
    for reader in ("head -1 > first", "true"):
        done = shell(f"{line} | {reader}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "first").read_text() != ""


def test_answer_stays_no_where_the_reader_leaves_early(tmp_path: Path, small_bundle: Path) -> None:
    graph = small_bundle / "nanohtnet_int8.onnx"
    done = shell(f"poseedge compare {small_bundle / 'nanohtnet_fp32.onnx'} {graph} --tolerance 1e-9 --windows 1 | true", tmp_path)
    assert done.returncode == 1, done.stderr


def test_closed_output_is_no_error(tmp_path: Path) -> None:
    done = shell("poseedge targets >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.02, 0.05, 0.1, 0.2, 0.4])
def test_interrupt_while_the_command_starts_or_ends_leaves_its_status_and_no_traceback(tmp_path: Path, delay_s: float) -> None:
    program = "from poseedge.cli.app import main; print(flush=True); main()"
    command = [sys.executable, "-c", program, "targets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()  # Python itself has started, and nothing slow is imported
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert said == ""
    assert process.returncode in (130, 0)


# A command in whose middle something happens: it says where it is, and what becomes of it. Not by ``print``: what an interrupt
# finds half flushed is flushed again at the end.

COMMAND = """
import os, sys, time
import poseedge.cli.verbs.targets as verb
from poseedge.cli import app

def targets():
    {body}

verb.targets = targets
sys.argv = ["poseedge", "targets"]
app.main()
"""


def end_of(body: str, *pauses_s: float) -> tuple[int, str, str]:
    """Run ``body`` as a command; Ctrl-C follows each line that it prints and each pause after it. Return status and output."""
    program = COMMAND.format(body=textwrap.indent(body, "    ").strip())
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        out = ""
        for line in process.stdout:
            out += line
            for pause_s in (0.0, *pauses_s):
                time.sleep(pause_s)
                process.send_signal(signal.SIGINT)
        assert process.stderr
        return process.wait(), out, process.stderr.read()


def test_interrupt_that_comes_twice_as_timeout_sends_it_is_one_and_tidies_up() -> None:
    body = """
try:
    os.write(1, b"working\\n")
    time.sleep(20)
finally:
    time.sleep(0.3)
    sys.stderr.write("tidied up")
"""
    assert end_of(body, 0.05) == (130, "working\n", "tidied up")


def test_second_interrupt_ends_what_does_not_end() -> None:
    body = """
try:
    os.write(1, b"working\\n")
    time.sleep(20)
finally:
    time.sleep(20)
"""
    assert end_of(body, 1.1) == (130, "working\n", "")


@pytest.mark.parametrize("cause", ["", " from interrupt"])
def test_interrupt_of_which_an_import_made_another_error_is_an_interrupt(cause: str) -> None:
    body = f"""
try:
    os.write(1, b"importing\\n")
    time.sleep(20)
except KeyboardInterrupt as interrupt:
    raise ImportError("initialization failed"){cause}  # as pybind11's modules do that are interrupted in their first lines
"""
    assert end_of(body) == (130, "importing\n", "")


def test_interrupt_while_python_takes_itself_down_leaves_the_status() -> None:
    body = """
import builtins

class Last:
    def __del__(self, sleep=time.sleep, write=sys.stdout.write, flush=sys.stdout.flush):
        write("ending\\n")
        flush()
        sleep(0.3)

builtins.last = Last()
"""
    assert end_of(body) == (0, "ending\n", "")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("eval", "none.onnx"), "none.onnx: no such file or bundle", ""),
        (("eval", "--every", "0", "x"), "--every", "poseedge eval --help"),
        (("targets", "--jsn"), "No such option: --jsn", "poseedge targets --help"),
    ],
    ids=["input", "value", "option"],
)
def test_errors_are_json_for_who_reads_json(poseedge: Command, words: tuple[str, ...], error: str, hint: str) -> None:
    outcome = poseedge(*words, "--json")
    found = json.loads(outcome.err)
    assert (outcome.status, outcome.out, found.keys()) == (2, "", {"error", "hint"})
    assert error in found["error"]
    assert hint in found["hint"]
