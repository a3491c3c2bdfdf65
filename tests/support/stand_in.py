"""What every stand-in for a lifter has."""

from __future__ import annotations

from poseedge.lifter import Cost


class StandIn:
    """A lifter with nothing to remark, of unknown cost."""

    notes: tuple[str, ...] = ()

    def cost(self) -> Cost:
        return Cost(None, None, None, None, 0, "a stand-in")
