"""Run r of an update against run r of what it updates: values, intervals, refusals."""

import json

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis.comparison import compare
from churn_jax.compare import main
from churn_jax.errors import UserError

CLASSES, EXAMPLES = 4, 400


def softmax(z):
    exp = np.exp(z - z.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def versions(runs, seed=0, examples=EXAMPLES, change=0.4, spread=1.0):
    """Old runs that differ, and an update of each that stays near it; labels."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 2, (examples, CLASSES))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    quality = np.exp(0.3 * rng.normal(size=(runs, 1, 1)))
    old = truth + spread * quality * rng.normal(size=(runs, examples, CLASSES))
    new = old + change * rng.normal(size=old.shape)
    return softmax(old), softmax(new), labels


def report(old, new, labels, paired=True):
    return compare({"old": list(old), "new": list(new)}, labels=labels, paired=paired).report


def test_only_run_r_is_compared_with_run_r():
    old, new, labels = versions(5)
    found = report(old, new, labels)["between"][0]
    pairs = list(zip(old, new, strict=True))
    for key, function in {
        "churn": lambda a, b: metrics.churn(a, b),
        "schurn": lambda a, b: metrics.surrogate_churn(a, b),
        "l1": lambda a, b: np.abs(a - b).sum(-1).mean(),
        "kappa": lambda a, b: metrics.cohens_kappa(a, b),
        "negative_flip_rate": lambda a, b: metrics.negative_flip_rate(a, b, labels),
        "positive_flip_rate": lambda a, b: metrics.positive_flip_rate(a, b, labels),
        "relative_nfr": lambda a, b: metrics.relative_negative_flip_rate(a, b, labels),
        "backward_trust": lambda a, b: metrics.backward_trust_compatibility(a, b, labels),
    }.items():
        expected = np.mean([function(a, b) for a, b in pairs])
        assert found[key]["mean"] == pytest.approx(expected, abs=1e-6), key
    retraining = np.mean([metrics.churn(old[i], old[j]) for i in range(5) for j in range(i)])
    excess = np.mean([metrics.churn(a, b) for a, b in pairs]) - retraining
    assert found["excess_churn"]["mean"] == pytest.approx(excess, abs=1e-9)
    assert (
        found["excess_churn"]["mean"] < 0
    )  # an update near its model changes less than retraining


def test_groups_alone_are_as_without_pairing():
    old, new, labels = versions(4)
    paired, apart = report(old, new, labels), report(old, new, labels, paired=False)
    for group in (0, 1):
        ours, theirs = (r["groups"][group] for r in (paired, apart))
        for key in ("accuracy", "churn", "schurn", "nll", "ece"):
            assert ours[key]["mean"] == theirs[key]["mean"]
            assert ours[key]["ci95"] == theirs[key]["ci95"]


def test_what_the_runs_of_a_pair_share_cancels():
    """The interval of a difference is that of the pairs' differences: here of a paired t-test."""
    old, new, labels = versions(12, examples=4000, change=0.05)
    paired, apart = report(old, new, labels), report(old, new, labels, paired=False)

    def width(found, key):
        ((low, high),) = (c["ci95"] for c in found["contrasts"] if c["metric"] == key)
        return high - low

    assert width(paired, "nll") < width(apart, "nll") / 3
    assert width(paired, "ece") <= width(apart, "ece") * 1.1


def test_intervals_hold():
    truths, sets = {}, [versions(4, seed, examples=300) for seed in range(120)]
    old, new, labels = versions(300, 999, examples=3000)
    wrong = (old.argmax(-1) == labels) & (new.argmax(-1) != labels)
    truths["churn"] = (old.argmax(-1) != new.argmax(-1)).mean()
    truths["negative_flip_rate"] = wrong.mean()
    truths["backward_trust"] = 1 - wrong.mean() / (old.argmax(-1) == labels).mean()
    hits = dict.fromkeys(truths, 0)
    for each in sets:
        found = compare(
            {"old": list(each[0]), "new": list(each[1])},
            labels=each[2], paired=True, everything=False,
        ).report["between"][0]  # fmt: skip
        for key, truth in truths.items():
            low, high = found[key]["ci95"]
            hits[key] += low <= truth <= high
    assert all(count / len(sets) >= 0.9 for count in hits.values()), hits


def test_the_gate_and_slices_are_of_the_pairs():
    old, new, labels = versions(4)
    slices = {"half": np.where(np.arange(EXAMPLES) % 2, "odd", "even")}
    result = compare(
        {"old": list(old), "new": list(new)}, labels=labels, paired=True, slices=slices,
        fail_if="churn[half=odd]>99%, excess_churn>0%, relative_nfr>90%",
    )  # fmt: skip
    churn = np.mean([metrics.churn(a[1::2], b[1::2]) for a, b in zip(old, new, strict=True)])
    assert result.passed
    assert result.verdicts[0].left == pytest.approx(churn)
    assert any("Paired: run r" in note for note in result.report["notes"])


def test_groups_of_other_sizes_are_refused():
    old, new, labels = versions(4)
    with pytest.raises(UserError, match="old has 4 runs and new 3; run r of the one"):
        report(old, new[:3], labels)


def test_nothing_is_claimed_of_flips_that_never_happened():
    old, _, labels = versions(4)
    found = report(old, old, labels)["between"][0]["relative_nfr"]
    assert found["mean"] == 0
    assert found["ci95"] == [None, None]
    assert found["unknown"] == "can't be known where every example has 0"


def test_the_command(tmp_path, capsys):
    old, new, labels = versions(3)
    for name, runs in (("old", old), ("new", new)):
        for run, probs in enumerate(runs):
            np.savez(tmp_path / f"{name}_{run}.npz", probs=probs, labels=labels)
    groups = [f"--group={name}={tmp_path}/{name}_*.npz" for name in ("old", "new")]
    assert main([*groups, "--paired", f"--out={tmp_path}/out"]) == 0
    found = json.loads((tmp_path / "out/report.json").read_text())
    expected = np.mean([metrics.churn(a, b) for a, b in zip(old, new, strict=True)])
    assert found["between"][0]["churn"]["mean"] == pytest.approx(expected)
    assert "Paired: run r" in (tmp_path / "out/report.md").read_text()
