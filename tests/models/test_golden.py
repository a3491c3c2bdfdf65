"""Every network equals the published code on the stored weights and input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseedge.models import create
from tests.support import golden

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", golden.CASES)
def test_output_equals_the_published_network(name: str) -> None:
    facts, stored = golden.case(name), golden.arrays(name)
    inputs = [torch.from_numpy(stored[key]) for key in facts.get("inputs", {"input": None})]
    with torch.no_grad():
        output = golden.network(name)(*inputs)
    np.testing.assert_allclose(output.numpy(), stored["output"], rtol=facts["rtol"], atol=facts["atol"])


@pytest.mark.parametrize("name", golden.CASES)
def test_keys_stand_in_the_published_order(name: str) -> None:
    facts = golden.case(name)
    with torch.device("meta"):
        network = create(facts["model"], **facts["config"])
    assert list(network.state_dict()) == [key for key, _ in facts["state_dict"]]
