"""Probabilities for tests of metrics, drawn by hypothesis with near-ties, exact ties and zeros."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


@st.composite
def models(draw, count: int = 2, min_classes: int = 2):
    """Draws `count` probability arrays [example, class] of the same shape, and labels [example]."""
    examples, classes = draw(st.integers(1, 12)), draw(st.integers(min_classes, 6))
    weights = draw(
        arrays.arrays(
            np.float64,
            (count, examples, classes),
            # Small integers make exact ties, floats make near ones.
            elements=st.one_of(st.integers(0, 3).map(float), st.floats(0, 1, width=16)),
        )
    )
    weights[..., 0] += weights.sum(axis=-1) == 0
    labels = draw(arrays.arrays(np.int32, examples, elements=st.integers(0, classes - 1)))
    return *(weights / weights.sum(axis=-1, keepdims=True)), labels
