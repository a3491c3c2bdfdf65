"""A skeleton of three bones and two frames of its motion, as CMU writes them."""

from __future__ import annotations

from pathlib import Path

HEAD = """# made for a test
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   begin and end are words here
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
"""
UPPER = "begin\n id 1\n name upper\n direction 1 0 0\n length 2\n axis 0 0 90 XYZ\n dof rx\n limits (-160.0 20.0)\nend\n"
LOWER = "begin\n name lower\n direction 1 0 0\n length 3\n axis 0 0 0 XYZ\n dof rx ry rz\n limits (-1 1)\n (-1 1)\n (-1 1)\nend\n"
STIFF = "begin\n name stiff\n direction 0 1 0\n length 4\n axis 10 20 30 XYZ\nend\n"
TREE = ":hierarchy\nbegin\n lower stiff\n root upper\n upper lower\nend\n"
FRAMES = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 1 2 3 0 0 0\nupper 0\nlower 0 0 0\n2\nroot 0 0 0 0 0 0\nupper 90\nlower 90 0 90\n"


def write(folder: Path, skeleton: str = HEAD + UPPER + LOWER + STIFF + TREE, motion: str = FRAMES) -> Path:
    (folder / "07.asf").write_text(skeleton)
    (folder / "07_01.amc").write_text(motion)
    return folder / "07_01.amc"
