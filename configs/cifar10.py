r"""CIFAR-10 with ResNet-56, as in the paper: Tables 2 and 5, Appendix A.

    python -m churn_jax.main --config=configs/cifar10.py:codistill_skl \
        --config.data.dir=DIR --workdir=W

Published over 10 runs (TPUv3, within an hour each):
`churn_jax.paper.published("cifar10", METHOD)`.
"""

from churn_jax import paper, recipes


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("cifar10")
    config.model.name = "resnet56"
    config.model.dtype = "bfloat16"
    config.model.norm_group = 128  # a core's share of a batch on a v3-8
    config.batch_size = 1024
    config.epochs = 450.0
    config.optimizer.learning_rate = 1.0
    config.optimizer.warmup_epochs = 15.0
    config.optimizer.decay_epochs = (200.0, 300.0, 400.0)
    config.eval_every = 10.0
    config.checkpoint_every = 50.0
    config.eval_batch_size = 2000
    return recipes.finish(config, arg, paper.hyperparameters("cifar10"))
