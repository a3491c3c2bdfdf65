"""The far end of ``poseedge bench --host``: takes a bundle on standard input, runs its runner, keeps its engines alone.

Sent over ssh and executed by the host's python3, so Python 3.6 and its library are all it has. Standard input brings the
job as one line of JSON, then the bytes of its files, then nothing: when it ends, the caller is gone. Standard error
carries a line ``ready``, then the runner's words, with a line ``run PRECISION`` before each run; the last line of
standard output is the results as JSON, by precision: exit status (null after a timeout) and report (null if there is none).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional

BLOCK = 1 << 20
PATIENCE_S = 5  # between asking the runner to end and ending it
KEPT = 32  # engines of so many graphs stay here for later runs


def main(source: BinaryIO) -> None:
    """Do the job that ``source`` brings."""
    print("ready", file=sys.stderr, flush=True)
    job = json.loads(source.readline().decode())
    gone = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: gone.set())
    folder = Path(tempfile.mkdtemp(prefix="poseedge."))
    try:
        for name, size in job["files"]:
            receive(source, folder / name, size)
        threading.Thread(target=watch, args=(source.fileno(), gone), daemon=True).start()
        engines = engine_folder()
        arguments = job["arguments"] + (["--engines", str(engines)] if engines else [])
        print(json.dumps({name: run_precision(folder, name, arguments, job["timeout_s"], gone) for name in job["precisions"]}))
        sys.stdout.flush()
        if engines:
            forget_oldest(engines)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def receive(source: BinaryIO, path: Path, size: int) -> None:
    """Write the next ``size`` bytes to ``path``."""
    with path.open("wb") as target:
        while size:
            block = source.read(min(size, BLOCK))
            if not block:
                sys.exit("the connection ended before the bundle was here")
            target.write(block)
            size -= len(block)


def watch(descriptor: int, gone: threading.Event) -> None:
    """Set ``gone`` when standard input ends; reads past the buffer, which holds nothing more."""
    while os.read(descriptor, BLOCK):
        pass
    gone.set()


def engine_folder() -> Optional[Path]:
    """Return where engines stay for later runs, None if nothing can be written there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "poseedge" / "engines"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(str(folder), os.W_OK) else None


def forget_oldest(engines: Path) -> None:
    """Remove the engines of all but the graphs that were built last: a board's disk is small."""
    with suppress(OSError):  # another run may be doing the same
        built = sorted(engines.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in built[KEPT:]:
            shutil.rmtree(str(folder), ignore_errors=True)


def run_precision(folder: Path, precision: str, arguments: List[str], timeout_s: float, gone: threading.Event) -> Dict[str, Any]:
    """Run the bundle's runner on one precision."""
    print("run " + precision, file=sys.stderr, flush=True)
    report = folder / "report.json"
    command = [sys.executable, "run.py", "--precision", precision, "--json", str(report), *arguments]
    status = ended(command, folder, timeout_s, gone)
    if not report.exists():
        return {"status": status, "report": None}
    content = json.loads(report.read_text())
    report.unlink()
    return {"status": status, "report": content}


def ended(command: List[str], folder: Path, timeout_s: float, gone: threading.Event) -> Any:
    """Return the exit status of ``command``, or None if it took too long; ends it, and this program, if the caller is gone."""
    deadline = time.monotonic() + timeout_s
    process = subprocess.Popen(
        command, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if gone.wait(0.2):
                sys.exit("the caller is gone")
        return process.poll()
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started, if it still runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                continue


if __name__ == "__main__":
    main(sys.stdin.buffer)
