"""The table of chips, and the names of slices."""

import pytest
from jax.experimental.pallas import tpu

from churn_jax.errors import UserError
from churn_jax.planner import chips

# Matrix units of a chip and their width: two operations a cell and cycle make the peak.
UNITS = {"v2": (2, 128), "v3": (4, 128), "v4": (8, 128), "v5e": (4, 128), "v5p": (8, 128)}
UNITS |= {"v6e": (4, 256), "tpu7x": (8, 256)}


@pytest.mark.parametrize("name", chips.CHIPS)
def test_the_clock_gives_the_peak(name):
    units, width = UNITS[name]
    chip = chips.CHIPS[name]
    assert chip.clock * 2 * units * width**2 == pytest.approx(chip.flops, rel=0.005)


@pytest.mark.parametrize("name", chips.CHIPS)
def test_figures_are_near_those_of_jaxs_own_table(name):
    """Which has other roundings: of v3 an eighth more operations, of v5p a tenth less bandwidth."""
    version = tpu.ChipVersion(name.removeprefix("tpu"))
    cores = 1 if name in ("v5e", "v6e") else 2
    of_core = tpu.get_tpu_info_for_chip(version, 1)
    chip = chips.CHIPS[name]
    assert of_core.bf16_ops_per_second * cores == pytest.approx(chip.flops, rel=0.14)
    assert of_core.mem_bw_bytes_per_second * cores == pytest.approx(chip.bandwidth, rel=0.12)
    assert of_core.hbm_capacity_bytes * cores == pytest.approx(chip.memory, rel=0.08)


def test_slices_are_found_as_they_are_ordered_and_as_libtpu_names_them():
    assert chips.find("v3-32") == chips.find("v3:4x4x1") == (chips.CHIPS["v3"], "v3:4x4x1")
    assert chips.find("v5litepod-16")[1] == "v5e:4x4"
    assert chips.find("v5p-8")[1] == "v5p:2x2x1"
    assert chips.find("tpu7x:2x2x2") == (chips.CHIPS["tpu7x"], "tpu7x:2x2x2")


@pytest.mark.parametrize(
    ("topology", "hint"),
    [
        ("v3-33", "did you mean 'v3-32'"),
        ("v3:4x4y1", "did you mean 'v3:4x4x1'"),
        ("tpu7x:2x2x2x", "did you mean 'tpu7x:2x2x2'"),
        ("banana", "for example v3:4x4x1"),
        ("v9:2x2", "no such chip"),
    ],
)
def test_other_names_are_refused_with_the_nearest(topology, hint):
    with pytest.raises(UserError, match=hint):
        chips.find(topology)
