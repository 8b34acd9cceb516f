"""Methods in training: what reaches which network; and teachers."""

import jax
from numpy.testing import assert_array_equal

from churn_jax.objectives import Objective
from tests.fixtures.training import digits_config, take_steps


def test_equation_9_without_weight_trains_the_baseline_of_each_member():
    apart = take_steps(digits_config(method=Objective(members=2)), 4)[-1]
    pair = Objective(members=2, agreement="symmetric_kl", beta=0.0)
    together = take_steps(digits_config(method=pair), 4)[-1]
    jax.tree.map(assert_array_equal, together.params, apart.params)


def test_stale_peers_change_only_every_so_many_steps():
    objective = Objective(
        members=2, agreement="symmetric_kl", update="stale", beta=1.0, refresh_steps=3
    )
    states = take_steps(digits_config(method=objective), 7)
    peers = [jax.tree.leaves(state.peers["params"])[0] for state in states]
    params = [jax.tree.leaves(state.params)[0] for state in states]
    # State n is that after n steps; the copies are refreshed before steps 0, 3 and 6.
    for after, copied_at in ((1, 0), (2, 0), (3, 0), (4, 3), (5, 3), (6, 3), (7, 6)):
        assert_array_equal(peers[after], params[copied_at])
