"""The table of chips, and the names of slices."""

import pytest

from churn_jax.errors import UserError
from churn_jax.planner import chips

# Matrix units of a chip and their width: two operations a cell and cycle make the peak.
UNITS = {"v2": (2, 128), "v3": (4, 128), "v4": (8, 128), "v5e": (4, 128), "v5p": (8, 128)}
UNITS["v6e"] = (4, 256)


@pytest.mark.parametrize("name", chips.CHIPS)
def test_the_clock_gives_the_peak(name):
    units, width = UNITS[name]
    chip = chips.CHIPS[name]
    assert chip.clock * 2 * units * width**2 == pytest.approx(chip.flops, rel=0.005)


def test_slices_are_found_as_they_are_ordered_and_as_libtpu_names_them():
    assert chips.find("v3-32") == chips.find("v3:4x4x1") == (chips.CHIPS["v3"], "v3:4x4x1")
    assert chips.find("v5litepod-16")[1] == "v5e:4x4"
    assert chips.find("v5p-8")[1] == "v5p:2x2x1"


@pytest.mark.parametrize(
    ("topology", "hint"),
    [
        ("v3-33", "did you mean 'v3-32'"),
        ("v3:4x4y1", "did you mean 'v3:4x4x1'"),
        ("banana", "for example v3:4x4x1"),
        ("v9:2x2", "no such chip"),
    ],
)
def test_other_names_are_refused_with_the_nearest(topology, hint):
    with pytest.raises(UserError, match=hint):
        chips.find(topology)
