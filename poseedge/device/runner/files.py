"""Files: hashes, atomic writes, and one process at a time in a folder."""

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from poseedge.device.runner.words import Refused, note


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=str(path.absolute().parent), prefix="." + path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp gives a name, not a Path
        os.replace(name, str(path))  # noqa: PTH105
    except BaseException as error:
        os.unlink(name)  # noqa: PTH108
        if isinstance(error, OSError):  # which does not say where a disk is full
            raise Refused("{}: {}".format(path, error.strerror)) from error
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block; the lock is on the folder itself and dies with its process."""
    import fcntl  # not on Windows, where there is no TensorRT for a Jetson's bundle either

    handle = os.open(str(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another process builds in {}; waiting for it".format(folder))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
