r"""iNaturalist 2018 with ResNet-v2-50, as in the paper: Tables 2 and 5, Appendix A.

    python -m churn_jax.main --config=configs/inaturalist.py:codistill_skl \
        --config.data.dir=DIR --workdir=W

Published over 10 runs (TPUv3, 6 to 8 hours each): see
`churn_jax.paper.published("inaturalist", METHOD)`. The data is TFDS's, in array_record form.
"""

from churn_jax import paper, recipes


def get_config(arg: str = "baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("inaturalist")
    config.model.name = "resnet_v2_50"
    config.model.dtype = "bfloat16"
    config.model.norm_group = 32  # a core's share of a batch on a v3-32
    config.runs = 1  # others with --config.first_run=1, …; evaluate collects them
    config.batch_size = 1024
    config.epochs = 90.0
    config.data.image_size = 224
    config.data.crop = "resized"
    config.optimizer.learning_rate = 0.8
    config.optimizer.nesterov = False
    config.optimizer.warmup_epochs = 5.0
    config.optimizer.decay_epochs = (30.0, 60.0, 80.0)
    config.eval_every = 5.0
    config.checkpoint_every = 1.0
    config.eval_batch_size = 1024
    return recipes.finish(config, arg, paper.hyperparameters("inaturalist"))
