"""What NEHSNet's fold alone promises."""

from __future__ import annotations

from tests.support.networks import assert_folded_equals_plain, drawn, windows


def test_folded_network_reads_the_centre_of_a_window() -> None:
    network = drawn("nehsnet", depth=2, d_model=24, n_heads=3, mlp_dim=40, frames=5)
    assert_folded_equals_plain(network, windows(network, 2))
