"""Figure 4: the regularised log-loss of two classes. Nothing is trained.

python -m churn_jax.study --study=configs/studies/figure4.py --workdir=DIR
"""

from churn_jax.studies.design import Analytic, Options, Study

TITLE = "Figure 4: the regularised log-loss of two classes, over the probability and the logit"


def get_study(options: Options) -> Study:
    """The figure."""
    del options  # the same for all data
    return Study("figure4", TITLE, figures=(Analytic("figure4", TITLE),))
