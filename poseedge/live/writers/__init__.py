"""Writers of lifted poses, by the suffix of the file."""

from poseedge.live.writers.common import WriterOptions as WriterOptions
from poseedge.live.writers.common import Written as Written
from poseedge.live.writers.npz import read_lifted as read_lifted
from poseedge.live.writers.registry import SUFFIXES as SUFFIXES
from poseedge.live.writers.registry import check_path as check_path
from poseedge.live.writers.registry import write as write
