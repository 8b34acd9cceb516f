"""Features, a network and an agreement term of one's own: `--config=FILE:METHOD`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer

import churn_jax
from churn_jax import data, recipes
from churn_jax.methods import Objective


def hellinger(own, peer):
    """Squared Hellinger distance of two predictions, 1 − Σ_j √(p_j q_j)."""
    return 1 - jnp.exp((jax.nn.log_softmax(own) + jax.nn.log_softmax(peer)) / 2).sum(-1)


def breast_cancer(_):
    """569 tumours, 30 measurements each: every third one tests."""
    table = load_breast_cancer()
    ids = np.array([f"{i:03d}" for i in range(len(table.target))])
    every = data.ArrayExamples(table.data.astype("float32"), table.target.astype("int32"), ids)
    info = data.DatasetInfo("breast_cancer", tuple(table.target_names), (30,), dtype="float32")
    test = np.arange(len(ids)) % 3 == 0
    return data.Dataset(info, every.take(np.flatnonzero(~test)), every.take(np.flatnonzero(test)))


churn_jax.data.register("breast_cancer", breast_cancer)
churn_jax.models.register(
    "small", lambda num_classes: nn.Sequential([nn.Dense(32), nn.relu, nn.Dense(num_classes)])
)
churn_jax.methods.register_agreement("hellinger", hellinger)
churn_jax.methods.register("codistill_hellinger", Objective(members=2, agreement="hellinger"))


def get_config(arg="baseline"):
    config = recipes.start("breast_cancer", pictures=False)
    config.update(epochs=20.0, batch_size=32, model={"name": "small"}, seed=0)
    return recipes.finish(config, arg, {"codistill_hellinger": {"beta": 8.0}})
