"""What NVIDIA's plugin needs of a machine with a GPU, in a folder: libraries that say "no device", and one virtual GPU."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

from poseedge.errors import PoseedgeError

DISTRIBUTION = "onnxruntime-ep-nv-tensorrt-rtx-cu12"
PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
INSTALL = "pip install 'poseedge[aot]'"
NO_DEVICE, DRIVER_NOT_LOADED = 100, 9  # of CUDA, and of NVML
PLUGIN = "libonnxruntime_providers_nv_tensorrt_rtx.so"
LINKED = ("libcudart", "libtensorrt_rtx", "libtensorrt_onnxparser_rtx")
HERE = Path(__file__).parent


def prepare(folder: Path, capability: tuple[int, int]) -> tuple[list[Path], Path]:
    """Fill ``folder``; return the libraries to load beforehand, and the plugin to give to ONNX Runtime."""
    package = package_folder()
    symbols = sorted({symbol for library in real_files(package, "*.so*") for symbol in undefined_symbols(library)})
    cuda = [f"int {name}(void) {{ return {NO_DEVICE}; }}" for name in symbols if name.startswith("cu")]
    nvml = [f"int {name}(void) {{ return {DRIVER_NOT_LOADED}; }}" for name in symbols if name.startswith("nvml")]
    nvml = [line for line in nvml if " nvmlErrorString(" not in line]
    nvml.append('const char *nvmlErrorString(int status) { (void)status; return "no driver"; }')
    major, minor = capability
    preload = [
        compile_stand_in(folder, "libcuda.so.1", "\n".join(cuda)),
        compile_stand_in(folder, "libnvidia-ml.so.1", "\n".join(nvml)),
        compile_stand_in(folder, "libposeedge_gpu.so", (HERE / "device.c").read_text(), f"-DMAJOR={major}", f"-DMINOR={minor}"),
    ]
    real = f'-DREAL="{newest(package, PLUGIN)}"'
    plugin = compile_stand_in(folder, "libposeedge_plugin.so", (HERE / "plugin.c").read_text(), real)
    for stem in LINKED:  # the names by which the package's libraries seek each other
        library = newest(package, f"{stem}.so.*")
        for name in (f"{stem}.so", f"{stem}.so.{version_of(library)[0]}"):
            (folder / name).symlink_to(library)
    return preload, plugin


def package_folder() -> Path:
    """Return where NVIDIA's package lies, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PoseedgeError(f"the Python package {PACKAGE} is not installed", f"install it with: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


def compile_stand_in(folder: Path, name: str, source: str, *flags: str) -> Path:
    """Compile C ``source`` to the shared library ``name``."""
    (folder / f"{name}.c").write_text(source + "\n")
    run_tool(["gcc", "-shared", "-fPIC", "-O1", f"-Wl,-soname,{name}", *flags, "-o", name, f"{name}.c", "-ldl"], folder)
    return folder / name


def undefined_symbols(library: Path) -> list[str]:
    """Return what ``library`` wants of the CUDA driver and of NVML."""
    return re.findall(r"\bU ((?:cu[A-Z]|nvml)\w+)", run_tool(["nm", "-D", "--undefined-only", str(library)], library.parent))


def newest(folder: Path, pattern: str) -> Path:
    """Return the file that matches and has the highest version."""
    found = real_files(folder, pattern)
    if not found:
        raise PoseedgeError(f"{folder}: holds no {pattern}, as version 0.5 of the package does", f"install that: {INSTALL}")
    return max(found, key=version_of)


def real_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match, without links."""
    return [path for path in folder.glob(pattern) if not path.is_symlink()]


def version_of(library: Path) -> list[int]:
    """Return the numbers after ``.so``."""
    return [int(number) for number in re.findall(r"\d+", library.name.partition(".so")[2])]


def run_tool(command: list[str], folder: Path) -> str:
    """Run a tool and return what it printed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise PoseedgeError(f"{command[0]} failed while preparing NVIDIA's compiler: {reason}", "is the toolchain complete?")
    return done.stdout
