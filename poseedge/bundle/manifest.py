"""What a bundle says of itself in its manifest."""

from __future__ import annotations

MANIFEST = "manifest.json"
SAMPLES = "samples.npz"
FORMAT = 1
