"""Lent memory: apart while it is held, used again afterwards."""

import numpy as np

from churn_jax.analysis.buffers import lent


def test_arrays_held_together_share_no_memory():
    with lent((2, 3)) as a, lent((2, 3)) as b:
        a[:], b[:] = 1, 2
        assert (a == 1).all()
        assert a.shape == (2, 3)
        assert a.dtype == np.float32


def test_memory_is_lent_again():
    with lent((4, 5)) as first:
        pass
    with lent((5, 2)) as second:
        assert np.shares_memory(first, second)
