"""Which way of retraining keeps a model stable from one version to the next: better labels.

    python -m churn_jax.study --study=configs/studies/corrected_labels.py --dataset=digits \
        --workdir=DIR

Version 1 of the data set has a fifth of its training labels wrong, version 2 has the same examples
with all labels right. Validation and test labels are right in both. All else is as in `update.py`.
"""

from churn_jax.studies.design import Options, Study
from churn_jax.studies.updating import Versions, update_study, versions_of

NOISE = 0.2  # the share of version 1's labels that are wrong


def corrected(examples: int, held_out: int) -> Versions:
    """The same examples, whose wrong labels are corrected."""
    both = {"data.num_train": examples}
    told = f"{100 * NOISE:g} % wrong labels to none, {examples:,} examples"
    return Versions({**both, "data.label_noise": NOISE}, both, held_out, told)


VERSIONS = {
    "digits": corrected(150, 400),
    "fashion_mnist": corrected(10_000, 6_000),
    "cifar10": corrected(45_000, 5_000),
    "cifar100": corrected(45_000, 5_000),
    "svhn": corrected(68_000, 5_000),
    "imagenet": corrected(1_200_000, 50_000),
    "inaturalist": corrected(400_000, 30_000),
    "image_folder": corrected(1_000, 500),
}


def get_study(options: Options) -> Study:
    """The study of the data set's two versions."""
    versions = versions_of(options.dataset, VERSIONS, "corrected_labels.py")
    return update_study("corrected_labels", versions, options)
