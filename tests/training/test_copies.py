"""Copies that are nobody else's: what is trained on does not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from actorrl.training.copies import copy_of


@pytest.mark.parametrize("n", [3, 64, 300])
def test_a_copy_shares_no_memory_with_the_original(n: int):
    originals = {"module": nn.Linear(n, n), "tensor": torch.zeros(n, n), "array": np.zeros((n, n))}

    copies = copy_of(originals)
    with torch.no_grad():
        originals["module"].weight.add_(1.0)
        originals["tensor"].add_(1.0)
        originals["array"] += 1.0

    torch.testing.assert_close(copies["module"].weight + 1.0, originals["module"].weight)
    assert not copies["tensor"].any() and not copies["array"].any()
