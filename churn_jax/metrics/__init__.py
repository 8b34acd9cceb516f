"""The paper's measures of churn, and of what surrounds it: pure functions of probabilities.

Probabilities are [example, class], labels integers [example]; NumPy or JAX arrays of any
float type. A rate or an expectation over examples is a Python float, computed in float64; a
property of one prediction is an array [example]. All of them check their input and raise
`churn_jax.errors.UserError` with one line. Nothing here imports JAX.
"""

from churn_jax.metrics.accuracy import (
    accuracy,
    brier_score,
    correct,
    negative_log_likelihood,
    predictions,
)
from churn_jax.metrics.accuracy_variance import AccuracyVariance, accuracy_variance
from churn_jax.metrics.agreement import (
    ambiguity,
    backward_trust_compatibility,
    cohens_kappa,
    discrepancy,
    negative_flip_rate,
    normalised_disagreement,
    positive_flip_rate,
    relative_negative_flip_rate,
)
from churn_jax.metrics.arrays import from_log_probs
from churn_jax.metrics.bounds import (
    lemma1_bound,
    lemma1_holds,
    lemma2_bound,
    lemma2_holds,
    probability_distance,
)
from churn_jax.metrics.calibration import (
    ReliabilityBins,
    bin_indices,
    expected_calibration_error,
    reliability_bins,
)
from churn_jax.metrics.calibration_variants import (
    classwise_calibration_error,
    equal_mass_calibration_error,
    kolmogorov_smirnov_calibration_error,
)
from churn_jax.metrics.churn import (
    churn,
    churn_correct,
    churn_incorrect,
    disagreement,
    relative_probabilities,
    surrogate_churn,
    surrogate_distance,
)
from churn_jax.metrics.confidence import prediction_confidence, prediction_entropy
from churn_jax.metrics.distances import jensen_shannon_divergence, symmetric_kl_divergence
from churn_jax.metrics.fragility import caught_by_review, flip_probability, selective_vote

__all__ = [
    "AccuracyVariance",
    "ReliabilityBins",
    "accuracy",
    "accuracy_variance",
    "ambiguity",
    "backward_trust_compatibility",
    "bin_indices",
    "brier_score",
    "caught_by_review",
    "churn",
    "churn_correct",
    "churn_incorrect",
    "classwise_calibration_error",
    "cohens_kappa",
    "correct",
    "disagreement",
    "discrepancy",
    "equal_mass_calibration_error",
    "expected_calibration_error",
    "flip_probability",
    "from_log_probs",
    "jensen_shannon_divergence",
    "kolmogorov_smirnov_calibration_error",
    "lemma1_bound",
    "lemma1_holds",
    "lemma2_bound",
    "lemma2_holds",
    "negative_flip_rate",
    "negative_log_likelihood",
    "normalised_disagreement",
    "positive_flip_rate",
    "prediction_confidence",
    "prediction_entropy",
    "predictions",
    "probability_distance",
    "relative_negative_flip_rate",
    "relative_probabilities",
    "reliability_bins",
    "selective_vote",
    "surrogate_churn",
    "surrogate_distance",
    "symmetric_kl_divergence",
]
