"""Writers of lifted poses, by the suffix of the file."""

from poseedge.live.writers.common import Options, Written
from poseedge.live.writers.npz import read_lifted
from poseedge.live.writers.registry import SUFFIXES, write

__all__ = ["SUFFIXES", "Options", "Written", "read_lifted", "write"]
