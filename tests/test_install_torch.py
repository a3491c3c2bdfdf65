"""``make`` installs PyTorch's CPU build, or says how to; it never pulls CUDA unasked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "install_torch.sh"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Stands in for pip: answers a dry run with a plan, with CUDA or without, and notes what is installed.
PIP = """#!{python}
import json, sys
arguments = sys.argv[3:]
own, cpu = {plans!r}
if "--dry-run" in arguments:
    names = cpu if "--extra-index-url" in arguments else own
    if names is None:
        sys.exit(1)
    version = "2.13.0+cpu" if names == ["torch"] and "--extra-index-url" in arguments else "2.13.0"
    print(json.dumps({{"install": [{{"metadata": {{"name": name, "version": version}}}} for name in names]}}))
else:
    open({log!r}, "w").write(" ".join(arguments))
"""
PLAIN, CUDA = ["torch"], ["torch", "nvidia-cublas"]


def installed(tmp_path: Path, own: list[str] | None, cpu: list[str] | None) -> tuple[int, str, str]:
    """Return exit status, what was installed, and what was said, where pip's own index and PyTorch's CPU index plan these."""
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(PIP.format(python=sys.executable, plans=(own, cpu), log=str(log)))
    python.chmod(0o755)
    done = subprocess.run(["bash", str(SCRIPT), str(python)], capture_output=True, text=True, check=False)
    return done.returncode, log.read_text() if log.exists() else "", done.stderr


def test_what_pip_finds_is_taken_where_it_brings_no_cuda(tmp_path: Path) -> None:
    assert installed(tmp_path, PLAIN, None) == (0, "install --quiet torch==2.13.0", "")


def test_cpu_index_is_asked_where_pip_would_bring_cuda(tmp_path: Path) -> None:
    assert installed(tmp_path, CUDA, PLAIN) == (0, f"install --quiet --extra-index-url {CPU_INDEX} torch==2.13.0+cpu", "")


@pytest.mark.parametrize("cpu", [None, CUDA], ids=["unreachable", "cuda too"])
def test_cuda_is_never_installed_unasked(tmp_path: Path, cpu: list[str] | None) -> None:
    status, done, said = installed(tmp_path, CUDA, cpu)
    assert (status, done) == (2, "")
    assert "brings CUDA" in said
    assert CPU_INDEX in said
