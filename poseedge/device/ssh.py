"""A bundle's own runner on another machine, over ssh: one connection; the engines alone stay there, for the next time."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import Bundle
from poseedge.device import far_end
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.progress import Tell

RUNNER = "run.py"
BLOCK = 1 << 18
TAIL = 12  # lines of a runner's output that are kept
PARTING_S = 15  # how long the far end may take to clean up
# What the ssh client says last, and what to do about it.
REFUSALS = {
    "Permission denied": "authentication was refused; set up a key: ssh-copy-id {host}",
    "Host key verification failed": "its host key is unknown or has changed; connect once by hand: ssh {host}",
    "Could not resolve hostname": "check the name, or add it to ~/.ssh/config",
    "Connection refused": "nothing listens there: is sshd running, is --port right?",
    "timed out": "is it switched on and in this network?",
    "No route to host": "is it switched on and in this network?",
    "closed by remote host": "the connection was lost; is it still on? Nothing of this run is left there",
}
# What a runner's last line says of the machine that it is on, and what to do about it.
LACKS = {
    "No module named 'numpy'": "install it there: sudo apt install python3-numpy",
    "TensorRT is not installed": "sudo apt install nvidia-jetpack there, name a Python that sees it with --python, "
    "or time ONNX Runtime there with --backend onnxruntime",
    "tensorrt is installed but cannot be imported": "try it there: python3 -c 'import tensorrt'",
    "neither TensorRT nor ONNX Runtime": "pip3 install onnxruntime there",
    "unrecognized arguments: --engines": "the bundle's run.py is older than this poseedge: export the bundle again",
}


@dataclass(frozen=True)
class Host:
    """How to reach a machine, and its Python."""

    name: str  # as ssh takes it: user@host, or a name from ~/.ssh/config
    port: int | None = None
    python: str = "python3"
    ssh: str = "ssh"

    def command(self, program: str) -> list[str]:
        """Return the ssh command line that runs ``program`` there."""
        if self.name.startswith("-") or not self.name or any(letter.isspace() for letter in self.name):
            raise PoseedgeError(f"{self.name!r} is no host", "user@host, or a name from ~/.ssh/config")
        words = shlex.split(self.ssh)
        if not words or shutil.which(words[0]) is None:
            raise PoseedgeError(f"there is no ssh client here: {self.ssh!r} is not found", "sudo apt install openssh-client")
        words += ["-T", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
        if not sys.stdin.isatty():
            words += ["-o", "BatchMode=yes"]  # nobody could answer a question
        return [*words, *(["-p", str(self.port)] if self.port else []), "--", self.name, program]


@dataclass(frozen=True)
class Outcome:
    """What became of one precision: the runner's report, or why there is none."""

    report: dict[str, Any] | None
    failure: str = ""
    hint: str = ""


@dataclass
class _Words:
    """The last lines of the far end's standard error: those before any run, and those of each run."""

    precisions: list[str]
    progress: Tell
    ready: threading.Event = field(default_factory=threading.Event)  # logged in, and Python runs
    last: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    by_precision: dict[str, deque[str]] = field(default_factory=dict)

    def read(self, stream: IO[bytes]) -> None:
        """Take lines until there are no more."""
        current = ""
        for line in stream:
            text = line.decode(errors="replace").rstrip()
            if text == "ready" and not self.ready.is_set():
                self.ready.set()
            elif text.startswith("run ") and text[4:] in self.precisions:
                current = text[4:]
                self.by_precision[current] = deque(maxlen=TAIL)
            elif text:
                self.by_precision.get(current, self.last).append(text)
            if current:
                what = text.removeprefix(f"{RUNNER}: ") if len(self.by_precision[current]) else "running"
                self.progress(f"{current}: {what}", len(self.by_precision) - 1, len(self.precisions))


def run_remotely(
    bundle: Bundle, precisions: list[str], host: Host, arguments: list[str], timeout_s: float, progress: Tell
) -> dict[str, Outcome]:
    """Copy what ``precisions`` need, run the bundle's runner there with ``arguments``, and return what became of each.

    Raises ``PoseedgeError`` if the host cannot be reached or runs no Python. Whatever happens, also on Ctrl-C, the far
    end stops the runner and removes its folder.
    """
    files = files_to_copy(bundle, precisions)
    job = {
        "files": [[name, byte_size(content)] for name, content in files.items()],
        "precisions": precisions,
        "arguments": arguments,
        "timeout_s": timeout_s,
    }
    source = Path(far_end.__file__).read_bytes()
    program = f'{host.python} -c "import sys; exec(sys.stdin.buffer.read({len(source)}))"'
    words = _Words(precisions, progress)
    with session(host, program, words.ready) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        listener = threading.Thread(target=words.read, args=(process.stderr,), daemon=True)
        listener.start()
        with suppress(BrokenPipeError):  # the connection ended; ssh says why
            process.stdin.write(source)
            process.stdin.flush()
            while not words.ready.wait(0.1) and process.poll() is None:
                pass  # ssh may be asking for a password, which no progress bar must cover
            send(process.stdin, json.dumps(job).encode() + b"\n", files, progress)
        results = process.stdout.read()
        status = process.wait()
        listener.join()
    if status != 0:
        raise unreachable(host, status, [*words.last, *(line for lines in words.by_precision.values() for line in lines)])
    found = json.loads(results.strip().rpartition(b"\n")[2])
    return {name: outcome(found[name], list(words.by_precision[name]), timeout_s) for name in precisions}


def files_to_copy(bundle: Bundle, precisions: list[str]) -> dict[str, Path | bytes]:
    """Return the files to copy: runner, samples, the graphs of ``precisions``, and a manifest that speaks of these alone."""
    graphs = {precision: bundle.graph(precision).name for precision in precisions}
    names = [RUNNER, bundle.manifest.samples, *graphs.values()]
    for name in names:
        if name not in bundle.manifest.files:
            raise ArtefactError(f"{bundle.folder}: the bundle holds no {name}", "export the bundle again")
    chosen = {bundle.precision(name) for name in precisions}
    manifest = bundle.manifest.model_copy(
        update={
            "graphs": {name: entry for name, entry in bundle.manifest.graphs.items() if name in chosen},
            "files": {name: bundle.manifest.files[name] for name in names},
            "calibration": bundle.manifest.calibration.model_copy(update={"ranges": None}),
        }
    )
    return {MANIFEST: json.dumps(manifest.model_dump(mode="json")).encode(), **{name: bundle.folder / name for name in names}}


def byte_size(content: Path | bytes) -> int:
    """Return the length in bytes of a file or of what would be in it."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


@contextmanager
def session(host: Host, program: str, ready: threading.Event) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the ssh client; at the end its input is closed, which is how the far end, once ``ready``, learns to clean up."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(host.command(program), stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=ignore_interrupt)
    try:
        yield process
    finally:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(PARTING_S if ready.is_set() else 0)
        except subprocess.TimeoutExpired:
            process.terminate()  # gently: ssh restores a terminal on which it hid a password
            process.wait()


def ignore_interrupt() -> None:
    """Let Ctrl-C reach poseedge alone: the ssh client is still needed to tell the far end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def send(target: IO[bytes], head: bytes, files: dict[str, Path | bytes], progress: Tell) -> None:
    """Write ``head`` and the files' bytes; leaves ``target`` open."""
    total, sent = sum(byte_size(content) for content in files.values()), 0
    target.write(head)
    for content in files.values():
        data = memoryview(content if isinstance(content, bytes) else content.read_bytes())
        for at in range(0, len(data), BLOCK):
            target.write(data[at : at + BLOCK])
            sent += len(data[at : at + BLOCK])
            progress("copying", sent, total)
    target.flush()


def unreachable(host: Host, status: int, words: list[str]) -> PoseedgeError:
    """Return the error for a far end that gave no results."""
    last = words[-1] if words else "it said nothing"
    if status == 255:  # the ssh client's own failures
        hint = next((advice for sign, advice in REFUSALS.items() if sign in last), "connect once by hand: ssh {host}")
        target = f"-p {host.port} {host.name}" if host.port else host.name
        return PoseedgeError(f"{host.name}: ssh failed: {last}", hint.format(host=target))
    if status in {126, 127}:
        return PoseedgeError(f"{host.name}: no {host.python} there: {last}", "sudo apt install python3 there, or see --python")
    return PoseedgeError(f"{host.name}: the far end failed (exit status {status}): {last}", "is there room in its /tmp?")


def outcome(result: dict[str, Any], words: list[str], timeout_s: float) -> Outcome:
    """Say what became of one run; the runner's last line tells why it refused, its last lines where it broke."""
    status, last = result["status"], words[-1] if words else "it said nothing"
    if result["report"] is not None:
        return Outcome(result["report"])
    if status is None:
        return Outcome(None, f"no result within {timeout_s:g} s; it said last: {last}", "give it longer with --timeout")
    hint = next((advice for sign, advice in LACKS.items() if sign in last), "")
    if status == 2 or hint:
        return Outcome(None, last.removeprefix(f"{RUNNER}: "), hint)
    return Outcome(None, "\n  ".join([f"its runner broke (exit status {status}):", *words]))
