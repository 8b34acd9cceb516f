"""Your own arrays or table: a .npz, .npy, .csv or .parquet file, by its path alone.

    python -m churn_jax.main --config=configs/arrays.py:codistill_skl \
        --config.data.dir=FILE --workdir=runs/mine

`churn_jax/data/sources/arrays.py` says what they may hold and how they are split into training and
test. The recipe is for a few hundred to a few thousand examples of features: an MLP, 40 epochs. Of
tokens say `--config.model.name=transformer`, of pictures `--config.model.name=resnet8`.
"""

from churn_jax import recipes

HYPERPARAMETERS = {
    "entropy": {"alpha": 0.2},
    "skl": {"alpha": 0.05},
    "codistill_ce": {"beta": 1.0, "refresh_steps": 10},
    "codistill_l1": {"beta": 1.0},
    "codistill_skl": {"beta": 1.0},
    "codistill_skl_entropy": {"alpha": 0.1, "beta": 1.0},
    "codistill_skl_skl": {"alpha": 0.05, "beta": 1.0},
    "ensemble_distill": {"temperature": 3.0},
}


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("arrays", pictures=False)
    config.batch_size = 32
    config.epochs = 40.0
    config.optimizer.learning_rate = 0.02
    config.optimizer.clip_norm = 5.0
    config.optimizer.warmup_epochs = 2.0
    config.optimizer.decay_epochs = (24.0, 34.0)
    return recipes.finish(config, arg, HYPERPARAMETERS)
