r"""SVHN (cropped digits) with LeNet5, as in the paper: Tables 2 and 5.

    python -m churn_jax.main --config=configs/svhn.py:codistill_skl \
        --config.data.dir=DIR --workdir=W

The paper gives the model and the coefficients only. The rest is the CIFAR recipe's form
(momentum, warm-up, three decays, L2 of 1e-4) at a tenth of its length and a rate that LeNet5,
which has no batch norm, can bear; no flip, since mirrored digits are other digits.
"""

from churn_jax import paper, recipes


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("svhn")
    config.model.name = "lenet5"
    config.batch_size = 1024
    config.epochs = 45.0
    config.data.flip = False
    config.optimizer.learning_rate = 0.1
    config.optimizer.clip_norm = 5.0
    config.optimizer.warmup_epochs = 1.5
    config.optimizer.decay_epochs = (20.0, 30.0, 40.0)
    config.eval_every = 5.0
    config.checkpoint_every = 5.0
    config.eval_batch_size = 2000
    return recipes.finish(config, arg, paper.hyperparameters("svhn"))
