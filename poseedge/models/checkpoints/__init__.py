"""Checkpoints: ours, and what the papers' repositories and their forks publish. No code in a file is ever run."""

from poseedge.models.checkpoints.contents import read_checkpoint as read_checkpoint
from poseedge.models.checkpoints.loading import load_checkpoint as load_checkpoint
from poseedge.models.checkpoints.loading import load_strictly as load_strictly
from poseedge.models.checkpoints.loading import recognise as recognise
from poseedge.models.checkpoints.loading import save_checkpoint as save_checkpoint
from poseedge.models.checkpoints.loading import write_torch as write_torch
from poseedge.models.checkpoints.states import state_dict_of as state_dict_of
