"""A skeleton of rigid limbs on top of lifted joints."""

from poseedge.live.rig.limbs import RIG as RIG
from poseedge.live.rig.limbs import Limbs as Limbs
from poseedge.live.rig.limbs import fit_limbs as fit_limbs
