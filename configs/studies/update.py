"""Which way of retraining keeps a model stable from one version to the next: more data.

    python -m churn_jax.study --study=configs/studies/update.py --dataset=digits --workdir=DIR

Version 1 of the data set is a random half of the examples of version 2. Run r of version 2 is held
against run r of version 1: what the old model had right and the new one has wrong is the price of
an update. Each method's strength is the one with the fewest such negative flips on a validation
split among those at most 0.3 points less accurate there than a cold start, or the most accurate one
where none is; the table is of the test split. `corrected_labels.py` is the same for better labels.
"""

from churn_jax.studies.design import Options, Study
from churn_jax.studies.updating import Versions, update_study, versions_of


def more_data(first: int, held_out: int) -> Versions:
    """Twice as many examples, among them all of the `first`."""
    told = f"{first:,} to {2 * first:,} examples"
    return Versions({"data.num_train": first}, {"data.num_train": 2 * first}, held_out, told)


VERSIONS = {
    "digits": more_data(75, 400),
    "fashion_mnist": more_data(5_000, 6_000),
    "cifar10": more_data(22_500, 5_000),
    "cifar100": more_data(22_500, 5_000),
    "svhn": more_data(34_000, 5_000),
    "imagenet": more_data(600_000, 50_000),
    "inaturalist": more_data(200_000, 30_000),
    "image_folder": more_data(500, 500),
}


def get_study(options: Options) -> Study:
    """The study of the data set's two versions."""
    return update_study("update", versions_of(options.dataset, VERSIONS, "update.py"), options)
