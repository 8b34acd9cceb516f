"""Your own pictures: a folder with one folder a class, or a CSV file with columns path,label.

    python -m churn_jax.main --config=configs/image_folder.py:codistill_skl \
        --config.data.dir=PICTURES --workdir=runs/mine

`churn_jax/data/sources/image_folder.py` says how they are split into training and test. The recipe
is a middle way for a few thousand pictures: ResNet-v2-18 at 112×112, 30 epochs.
"""

from churn_jax import recipes

HYPERPARAMETERS = {
    "entropy": {"alpha": 0.2},
    "skl": {"alpha": 0.05},
    "codistill_ce": {"beta": 1.0},
    "codistill_l1": {"beta": 1.0},
    "codistill_skl": {"beta": 1.0},
    "codistill_skl_entropy": {"alpha": 0.1, "beta": 1.0},
    "codistill_skl_skl": {"alpha": 0.05, "beta": 1.0},
    "ensemble_distill": {"temperature": 3.0},
}


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("image_folder")
    config.model.name = "resnet_v2_18"
    config.runs = 2
    config.batch_size = 64
    config.epochs = 30.0
    config.data.image_size = 112
    config.data.crop = "resized"
    config.optimizer.learning_rate = 0.1
    config.optimizer.clip_norm = 5.0
    config.optimizer.warmup_epochs = 2.0
    config.optimizer.decay_epochs = (15.0, 25.0)
    config.eval_every = 5.0
    config.checkpoint_every = 5.0
    return recipes.finish(config, arg, HYPERPARAMETERS)
