"""scikit-learn's digits: real 8×8 images that come with a dependency, so this runs anywhere.

    python -m churn_jax.main --config=configs/digits.py:codistill_skl --workdir=runs/codistill

150 training and 1,200 test images, so that churn is large enough to see: over 10 runs, churn
6.1 % (baseline) against 4.9 % (codistill_skl) at 95.3 % and 96.1 % accuracy.
"""

from churn_jax import recipes

HYPERPARAMETERS = {
    "entropy": {"alpha": 0.2},
    "skl": {"alpha": 0.05},
    "codistill_ce": {"beta": 1.0, "refresh_steps": 5},  # 50 would be a third of training
    "codistill_l1": {"beta": 1.0},
    "codistill_skl": {"beta": 1.0},
    "codistill_skl_entropy": {"alpha": 0.1, "beta": 1.0},
    "codistill_skl_skl": {"alpha": 0.05, "beta": 1.0},
    "ensemble_distill": {"temperature": 3.0},
}


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("digits")
    config.model.name = "resnet8"
    config.data.num_train = 150
    config.batch_size = 64
    config.epochs = 64.0
    config.data.crop_padding = 1
    config.data.flip = False  # a mirrored digit is another digit, or none
    config.optimizer.learning_rate = 0.1
    config.optimizer.clip_norm = 5.0
    config.optimizer.warmup_epochs = 6.0
    config.optimizer.decay_epochs = (44.0, 58.0)
    config.log_every = 50
    return recipes.finish(config, arg, HYPERPARAMETERS)
