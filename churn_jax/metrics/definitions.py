"""The measures a report can hold: names, definitions, sources, and what each needs."""

import dataclasses
import functools
import math
from collections.abc import Iterable

from churn_jax.metrics import asked
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.metrics.definition import Definition, Scope

_PAPER = "Bhojanapalli et al., On the Reproducibility of Neural Network Predictions, 2021"
_GUO = "Guo et al., On Calibration of Modern Neural Networks, 2017"
_YAN = "Yan et al., Positive-Congruent Training, 2021"
_MARX = "Marx et al., Predictive Multiplicity in Classification, 2020"
_BIASED = "it holds what noise adds, so that an interval around it would miss the model's own"
_MASS = "bins of equally many examples have no counterpart in weights"
_LABELS, _PROBS, _BOTH = ("labels",), ("probs",), ("labels", "probs")

DEFINITIONS: dict[str, Definition] = {
    "accuracy": Definition(
        "accuracy",
        "P(ŷ = y), with ŷ the most probable class",
        "run",
        needs=_LABELS,
        better="higher",
    ),
    "nll": Definition(
        "NLL",
        "negative log-likelihood, the mean of −log p_y, in nats",
        "run",
        needs=_BOTH,
        high=math.inf,
        percent=False,
        nats=True,
    ),
    "brier": Definition(
        "Brier score",
        "the mean of Σ_j (p_j − 1[j = y])²",
        "run",
        "Brier, Verification of Forecasts Expressed in Terms of Probability, 1950",
        _BOTH,
        2.0,
        percent=False,
    ),
    "ece": Definition(
        "ECE",
        "expected calibration error, without the bias that noise gives it: Σ_bins P(bin) · "
        f"|accuracy − mean top probability| over {NUM_BINS} bins of equal width, closed on the "
        "right; the values of single runs are plain",
        "run",
        "Guo et al., On Calibration of Modern Neural Networks, 2017; docs/statistics.md",
        _BOTH,
    ),
    "ece_plain": Definition(
        "ECE, plain",
        "the same of the sample: Σ_bins n_bin/N · |accuracy − mean top probability|, as papers and "
        "other tools give it. It is larger than the model's by what noise adds, the more so the "
        "fewer examples there are",
        "run",
        _GUO,
        _BOTH,
        plain=_BIASED,
    ),
    "ece_mass": Definition(
        "ECE, equal mass",
        f"ECE over {NUM_BINS} bins that hold the same number of examples, without the bias of "
        "noise",
        "run",
        "Nixon et al., Measuring Calibration in Deep Learning, 2019",
        _BOTH,
        unweighted=_MASS,
    ),
    "ece_classwise": Definition(
        "ECE, classwise, plain",
        "the mean over the classes j of Σ_bins n_bin/N · |frequency of j − mean p_j|, "
        f"{NUM_BINS} bins of equal width of p_j, with what noise adds",
        "run",
        "Kull et al., Beyond Temperature Scaling, 2019",
        _BOTH,
        plain=_BIASED,
    ),
    "ece_ks": Definition(
        "calibration error, no bins",
        "the Kolmogorov–Smirnov calibration error: the largest |Σ (1[ŷ = y] − top probability)| "
        "/ N over the examples up to some top probability, without the bias of noise",
        "run",
        "Gupta et al., Calibration of Neural Networks using Splines, 2021",
        _BOTH,
        unweighted=_MASS,
    ),
    "entropy": Definition(
        "entropy",
        "the mean of −Σ_j p_j log p_j, in nats",
        "run",
        needs=_PROBS,
        high=math.inf,
        better="",
        percent=False,
        nats=True,
    ),
    "confidence": Definition(
        "confidence γ",
        "the mean of the largest minus the second-largest probability",
        "run",
        _PAPER,
        _PROBS,
        better="",
    ),
    "churn": Definition("churn", "P(ŷ¹ ≠ ŷ²)", "pair", _PAPER),
    "schurn": Definition(
        "SChurn₁",
        "surrogate churn: ½ E‖(p¹ / max p¹)^α − (p² / max p²)^α‖₁ with α = 1; it tends to churn "
        "as α grows, and is not bounded by 1",
        "pair",
        _PAPER,
        _PROBS,
        math.inf,
    ),
    "churn_correct": Definition(
        "churn correct",
        "P(ŷ¹ ≠ ŷ² given ŷ¹ = y), averaged over both orders within a group",
        "pair",
        _PAPER,
        _LABELS,
    ),
    "churn_incorrect": Definition(
        "churn incorrect",
        "P(ŷ¹ ≠ ŷ² given ŷ¹ ≠ y), averaged over both orders within a group",
        "pair",
        _PAPER,
        _LABELS,
        better="",
    ),
    "kappa": Definition(
        "Cohen's κ",
        "agreement beyond chance: 1 − churn / (churn expected of independent predictions with the "
        "same class frequencies)",
        "pair",
        "Cohen, A Coefficient of Agreement for Nominal Scales, 1960",
        better="higher",
        percent=False,
        signed=True,
    ),
    "normalised_disagreement": Definition(
        "churn / error",
        "normalised disagreement: churn over the mean error of the two",
        "pair",
        "Fort et al., Deep Ensembles: A Loss Landscape Perspective, 2019",
        _LABELS,
        2.0,
        "",
        percent=False,
    ),
    "l1": Definition("L1 distance", "E‖p¹ − p²‖₁", "pair", needs=_PROBS, high=2.0, percent=False),
    "jensen_shannon": Definition(
        "Jensen–Shannon divergence",
        "E[½ KL(p¹‖m) + ½ KL(p²‖m)] with m = (p¹ + p²)/2, in nats",
        "pair",
        "Lin, Divergence Measures Based on the Shannon Entropy, 1991",
        _PROBS,
        math.log(2),
        percent=False,
        nats=True,
    ),
    "symmetric_kl": Definition(
        "symmetric KL",
        "E[KL(p¹‖p²) + KL(p²‖p¹)], in nats; a probability below 1e-38 counts as that",
        "pair",
        _PAPER,
        _PROBS,
        math.inf,
        percent=False,
        nats=True,
    ),
    "lemma1_bound": Definition(
        "bound of Lemma 1",
        "error¹ + error², which churn cannot exceed. With the smaller error e and ε the other's "
        "excess it is 2e + ε, the bound for near-optimal models",
        "pair",
        _PAPER,
        _LABELS,
        2.0,
        "",
    ),
    "lemma2_bound": Definition(
        "bound of Lemma 2",
        "P(‖p¹ − p²‖₁ ≥ min(γ¹, γ²)), which churn cannot exceed: predictions flip only where the "
        "confidence is smaller than the change",
        "pair",
        _PAPER,
        _PROBS,
        better="",
    ),
    "gde_gap": Definition(
        "churn − error",
        "zero where disagreement equals error (the generalisation disagreement equality), so that "
        "churn estimates the error without labels",
        "pair",
        "Jiang et al., Assessing Generalization of SGD via Disagreement, 2022",
        _LABELS,
        better="",
        signed=True,
    ),
    "negative_flip_rate": Definition(
        "bad churn (✓→✗)", "negative flip rate: P(ŷ¹ = y and ŷ² ≠ y)", "change", _YAN, _LABELS
    ),
    "positive_flip_rate": Definition(
        "good churn (✗→✓)",
        "positive flip rate: P(ŷ¹ ≠ y and ŷ² = y)",
        "change",
        _YAN,
        _LABELS,
        better="higher",
    ),
    "relative_nfr": Definition(
        "relative bad churn",
        "negative flips as a share of those of independent models, NFR / (P(ŷ¹ = y) · P(ŷ² ≠ y))",
        "change",
        _YAN,
        _LABELS,
        high=math.inf,
    ),
    "backward_trust": Definition(
        "backward trust compatibility",
        "P(ŷ² = y given ŷ¹ = y): what the old model got right that the new one still does",
        "change",
        "Srivastava et al., An Empirical Analysis of Backward Compatibility in ML Systems, 2020",
        _LABELS,
        better="higher",
    ),
    "hamming_churn": Definition(
        "Hamming churn",
        "of several labels an example, the share of all (example, label) in which the two models "
        "differ; churn itself is that of whole sets",
        "pair",
        needs=("sets",),
    ),
    "hamming_loss": Definition(
        "Hamming loss",
        "of several labels an example, the share of all (example, label) that are wrong; accuracy "
        "itself is that of whole sets",
        "run",
        needs=("labels", "sets"),
    ),
    "excess_churn": Definition(
        "churn beyond a retraining's",
        "churn between the groups less the mean of the churn within them",
        "change",
        signed=True,
    ),
    "churn_to_old": Definition(
        "churn to the old model",
        "churn from run r of the model that is replaced to run r of the one that replaces it",
        "update",
    ),
    "ambiguity": Definition(
        "ambiguity",
        "the fraction of examples on which any two runs of the group differ; it grows with their "
        "number",
        "set",
        _MARX,
    ),
    "discrepancy": Definition(
        "discrepancy", "the largest churn of any two runs of the group", "set", _MARX
    ),
    "intra_pair_churn": Definition(
        "intra-pair churn",
        "churn between the two members of one co-distilled run; not the churn of a retraining",
        "run",
        better="",
    ),
}


@functools.cache
def definition(key: str) -> Definition:
    """The definition of a measure; 'schurn@2' is SChurn of another α, 'recall[cat]' of a class."""
    if key.startswith("schurn@"):
        base = DEFINITIONS["schurn"]
        return dataclasses.replace(base, title=f"SChurn, α = {key.removeprefix('schurn@')}")
    return asked.definition(key) or DEFINITIONS[key]


def is_measure(key: str) -> bool:
    """Whether a name is that of a measure."""
    return key.startswith("schurn@") or key in DEFINITIONS or asked.is_asked(key)


def explained(keys: Iterable[str]) -> dict[str, Definition]:
    """What to explain of a report that has these measures, those of every report first.

    One definition serves all classes that a measure was asked for of.
    """
    keys = list(keys)
    found = {key: DEFINITIONS[key] for key in DEFINITIONS if key in keys}
    of_classes = dict.fromkeys(asked.family_of(key) for key in keys if asked.is_asked(key))
    return found | {key: definition(key) for key in of_classes}


def of_scope(scope: Scope, labels: bool, probs: bool, sets: bool = False) -> list[str]:
    """Measures of a scope that the files allow."""
    return [
        key
        for key, found in DEFINITIONS.items()
        if found.scope == scope
        and found.available(labels, probs, sets)
        and key != "intra_pair_churn"
    ]
