"""The process in which ONNX Runtime and NVIDIA's plugin build the engine; started by ``compiler.py`` with one JSON job."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PROVIDER = "NvTensorRTRTXExecutionProvider"
WARNING = 2


def compile_model(job: dict[str, Any]) -> dict[str, Any]:
    """Compile ``job["model"]`` to ``job["result"]``; raises whatever ONNX Runtime raises."""
    for library in job["preload"]:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    from poseedge.graph.session import ort, session_options

    ort.set_default_logger_severity(WARNING)
    ort.register_execution_provider_library(PROVIDER, job["plugin"])
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    if not devices:
        raise RuntimeError("the plugin offers no device")
    options = session_options(threads=1, severity=WARNING)
    options.add_provider_for_devices(devices, {"nv_target_sm": job["architecture"], "nv_detailed_build_log": "1"})
    compiler = ort.ModelCompiler(
        options,
        job["model"],
        embed_compiled_data_into_model=True,
        flags=ort.OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED,  # else it "succeeds" with nothing compiled
    )
    started = time.monotonic()
    compiler.compile_to_file(job["result"])
    return {"seconds": time.monotonic() - started}


def peak_bytes() -> int:
    """Return the most memory that this process had; ``getrusage`` would count its parent's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(job_file: str) -> None:
    """Do the job and write the answer beside it."""
    job = json.loads(Path(job_file).read_text())
    try:
        answer = compile_model(job)
    except Exception as error:  # whatever it is belongs to the parent
        answer = {"error": str(error).strip() or type(error).__name__}
    Path(job["answer"]).write_text(json.dumps({**answer, "peak_bytes": peak_bytes()}))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # destructors would call into the stand-in driver


if __name__ == "__main__":
    main(sys.argv[1])
