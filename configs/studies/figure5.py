"""Figure 5: the logistic loss at several temperatures. Nothing is trained.

python -m churn_jax.study --study=configs/studies/figure5.py --workdir=DIR
"""

from churn_jax.studies.design import Analytic, Options, Study

TITLE = "Figure 5: the logistic loss at several temperatures"


def get_study(options: Options) -> Study:
    """The figure."""
    del options  # the same for all data
    return Study("figure5", TITLE, figures=(Analytic("figure5", TITLE),))
