"""A training recipe that is done in a second."""

from __future__ import annotations

TINY = """
steps = 4
batch = 8
evaluate_every = 2
[network]
frames = 9
keep_frames = 3
channel = 48
layers = 1
d_hid = 32
hid = 4
"""
