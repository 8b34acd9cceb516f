r"""Fashion-MNIST: 60,000 training and 10,000 test images of 28×28, from the original IDX files.

    python -m churn_jax.main --config=configs/fashion_mnist.py:codistill_skl \
        --config.data.dir=/usr/share/datasets/fashion-mnist --workdir=runs/fashion_mnist

Debian's package `dataset-fashion-mnist` brings the files. No recipe of the paper's: LeNet5 as on
SVHN, with gradients clipped a member because large β diverges without.
"""

from churn_jax import recipes

HYPERPARAMETERS = {
    "entropy": {"alpha": 0.2},
    "skl": {"alpha": 0.05},
    "codistill_ce": {"beta": 0.5, "refresh_steps": 10},  # short training, so fewer than 50
    "codistill_l1": {"beta": 1.0},
    "codistill_skl": {"beta": 0.5},
    "codistill_skl_entropy": {"alpha": 0.1, "beta": 0.5},
    "codistill_skl_skl": {"alpha": 0.05, "beta": 1.0},
    "ensemble_distill": {"temperature": 3.0},
}


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("fashion_mnist")
    config.model.name = "lenet5"
    config.batch_size = 256
    config.epochs = 5.0
    config.data.crop = "none"
    config.data.flip = True
    config.optimizer.learning_rate = 0.1
    config.optimizer.clip_norm = 5.0
    config.optimizer.warmup_epochs = 0.5
    config.optimizer.decay_epochs = (3.5, 4.5)
    config.eval_every = 1.0
    config.checkpoint_every = 1.0
    return recipes.finish(config, arg, HYPERPARAMETERS)
