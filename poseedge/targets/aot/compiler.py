"""Build an engine with TensorRT-RTX ahead of time, on a machine without GPU and driver.

NVIDIA's plugin for ONNX Runtime builds engines without touching a GPU, but on Linux it links against the driver's
libraries and offers no device where there is none. So we compile, into a temporary folder, stand-ins for ``libcuda`` and
``libnvidia-ml`` whose functions all say "no device", and a small plugin that hands everything on to NVIDIA's and names
one GPU of the wanted architecture. Parser, builder and optimizer are NVIDIA's, unchanged.

What a build proves: NVIDIA's parser and builder take the graph. What it does not: accuracy, latency, and the classic,
older TensorRT of a Jetson, which reads less; the rules of ``preflight`` are for that.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import onnx

from poseedge.errors import PoseedgeError
from poseedge.graph.session import ort
from poseedge.targets.aot.log import complaints, kernels, memory, refusal
from poseedge.targets.aot.stand_ins import DISTRIBUTION, INSTALL, PACKAGE, prepare

ARCHITECTURES = {"sm86": (8, 6), "sm89": (8, 9), "sm120": (12, 0), "sm121": (12, 1)}
DEFAULT_ARCHITECTURE = "sm86"
SECONDS = 600.0


@dataclass(frozen=True)
class Compiled:
    """What became of one graph; ``error`` is TensorRT's own word if it was refused."""

    architecture: str
    error: str = ""
    nodes: int = 0
    outside: list[str] = field(default_factory=list)  # nodes that are in no engine
    engines: int = 0
    engine_bytes: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    kernels: int = 0  # launches for one call; their names and products are counted, no GPU ran them
    seconds: float = 0.0
    peak_bytes: int = 0
    log: list[str] = field(default_factory=list)  # warnings and errors

    @property
    def built(self) -> bool:
        """Whether the whole graph is in an engine."""
        return not self.error and not self.outside


def nearest_architecture(capability: str) -> str:
    """Return the architecture to build for in place of compute capability ``capability``, such as 8.7: the nearest there is."""
    wanted = float(capability)
    return min(ARCHITECTURES, key=lambda name: abs(float("{}.{}".format(*ARCHITECTURES[name])) - wanted))


def missing_part() -> tuple[str, str]:
    """Return what keeps the compiler from running here and what to do about it; two empty strings if nothing does."""
    system = f"{platform.system()} {platform.machine()}"
    if system != "Linux x86_64":
        return f"TensorRT-RTX for Python exists for Linux x86_64, this is {system}", "compile on such a workstation"
    if importlib.util.find_spec(PACKAGE) is None:  # looks it up without importing it
        return f"the Python package {PACKAGE} is not installed", f"install it with: {INSTALL}"
    if not hasattr(ort, "ModelCompiler") or not hasattr(ort, "register_execution_provider_library"):
        return f"ONNX Runtime {ort.__version__} cannot load execution providers", f"1.24 or newer can: {INSTALL}"
    for tool, package in (("gcc", "gcc"), ("nm", "binutils")):
        if shutil.which(tool) is None:
            return f"{tool} is not installed", f"install it with: sudo apt install {package}"
    return "", ""


class Compiler:
    """The compiler for one architecture; a context manager, whose stand-ins are built once."""

    def __init__(self, architecture: str = DEFAULT_ARCHITECTURE) -> None:
        """Raises ``PoseedgeError`` where the compiler cannot run."""
        reason, hint = missing_part()
        if reason:
            raise PoseedgeError(f"NVIDIA's compiler cannot run here: {reason}", hint)
        self.architecture = architecture
        self.version = importlib.metadata.version(DISTRIBUTION)

    def __enter__(self) -> Compiler:
        self._temporary = tempfile.TemporaryDirectory(prefix="poseedge_aot_")
        self.folder = Path(self._temporary.name)
        try:
            self.preload, self.plugin = prepare(self.folder, ARCHITECTURES[self.architecture])
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._temporary.cleanup()

    def compile(self, path: Path, seconds: float = SECONDS) -> Compiled:
        """Build an engine of the ONNX file ``path`` and throw it away; say what became of every node."""
        names = {key: self.folder / name for key, name in (("result", "engine.onnx"), ("answer", "answer.json"))}
        for file in names.values():
            file.unlink(missing_ok=True)
        job = {key: str(file) for key, file in names.items()}
        job |= {"model": str(path.resolve()), "plugin": str(self.plugin), "architecture": self.architecture}
        (self.folder / "job.json").write_text(json.dumps({**job, "preload": [str(library) for library in self.preload]}))
        log = self.folder / "build.log"
        command = [sys.executable, "-m", "poseedge.targets.aot.child", str(self.folder / "job.json")]
        with log.open("wb") as stream:
            seen = {**os.environ, "LD_LIBRARY_PATH": str(self.folder)}
            try:
                done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, timeout=seconds, env=seen, check=False)
            except subprocess.TimeoutExpired:
                return Compiled(self.architecture, f"no result after {seconds:g} s")
        text = log.read_text(errors="replace")
        if not names["answer"].is_file():
            last = (text.strip().splitlines() or ["no message"])[-1]
            return Compiled(self.architecture, f"the build process died with status {done.returncode}: {last}")
        return self._judge(path, json.loads(names["answer"].read_text()), text, names["result"])

    def _judge(self, path: Path, answer: dict[str, object], text: str, result: Path) -> Compiled:
        """Count on the two files what became of the nodes."""
        peak, messages = int(str(answer["peak_bytes"])), complaints(text)
        if "error" in answer:
            own = refusal(messages) or str(answer["error"])
            return Compiled(self.architecture, own, peak_bytes=peak, log=messages)
        before = onnx.load(path, load_external_data=False).graph.node
        after = onnx.load(result, load_external_data=False).graph.node
        engines = [node for node in after if node.op_type == "EPContext"]
        plans = [item.s for node in engines for item in node.attribute if item.name == "ep_cache_context"]
        return Compiled(
            self.architecture,
            nodes=len(before),
            outside=[f"{node.op_type} {node.name}".strip() for node in after if node.op_type != "EPContext"],
            engines=len(engines),
            engine_bytes=sum(map(len, plans)),
            weight_bytes=memory(text, "Weights"),
            activation_bytes=memory(text, "Activation"),
            kernels=sum(map(kernels, plans)),
            seconds=float(str(answer["seconds"])),
            peak_bytes=peak,
            log=messages,
        )
