"""What programs for JetPack 4 may import."""

from __future__ import annotations

# All of these are in Python 3.6's library, but numpy; backends are imported by name when they are used.
ALLOWED = {
    "argparse", "collections", "contextlib", "ctypes", "fcntl", "hashlib", "importlib", "json", "numpy", "os", "pathlib",
    "platform", "re", "shutil", "subprocess", "sys", "tempfile", "threading", "time", "traceback", "typing", "zipfile",
}  # fmt: skip
