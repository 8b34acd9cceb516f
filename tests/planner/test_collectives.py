"""How long collectives take in a ring, worked out by hand for one that can be followed."""

import numpy as np
import pytest
from jax.sharding import Mesh

from churn_jax.planner.collectives import Collective, collectives

LINK = 10.0  # bytes a second each way


def seconds(kind, size, devices=4):
    return Collective(kind, ("data",), size, devices).seconds(LINK)


def test_a_ring_of_four():
    """Chips pass on quarters of an array of 80 bytes; both ways, so two halves go at once."""
    quarter = 80 / 4 / 2 / LINK  # half of it one way, half the other
    assert seconds("all-gather", 80) == pytest.approx(3 * quarter)
    assert seconds("reduce-scatter", 20) == pytest.approx(3 * quarter)
    assert seconds("all-reduce", 80) == pytest.approx(6 * quarter)


def test_all_to_all_is_what_its_links_carry():
    """Each of 4 sends 20 bytes to each other: 1, 1 and 2 links far; 8 directed links carry it."""
    carried = 4 * 20 * (1 + 1 + 2)
    assert seconds("all-to-all", 80) == pytest.approx(carried / 8 / LINK)


def test_a_neighbour_gets_all_of_it_one_way():
    assert seconds("collective-permute", 80) == pytest.approx(80 / LINK)


@pytest.mark.parametrize(
    ("groups", "axes", "devices"),
    [
        ("{{0,1,2,3},{4,5,6,7}}", ("data",), 4),
        ("{{0,1},{2,3},{4,5},{6,7}}", ("data",), 2),  # neighbours that share batch norm
        ("{{0,4},{1,5},{2,6},{3,7}}", ("member",), 2),
        ("[1,8]<=[8]", ("member", "data"), 8),
        ("mesh['run'=1,'member'=2,'data'=4] {'data'}", ("data",), 4),
    ],
)
def test_how_many_exchange_data(groups, axes, devices):
    mesh = Mesh(np.arange(8).reshape(1, 2, 4), ("run", "member", "data"))
    (found,) = collectives(f"%x = f32[5]{{0}} all-reduce(%y), replica_groups={groups}", mesh)
    assert found == Collective("all-reduce", axes, 20, devices)
