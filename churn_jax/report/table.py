"""The numbers of a report as words: one table of groups and one sentence for each contrast."""

import math
from typing import Any

COLUMNS = {
    "accuracy": "accuracy",
    "churn": "churn",
    "schurn": "SChurn₁",
    "churn_correct": "churn correct",
    "churn_incorrect": "churn incorrect",
    "ece": "ECE",
}
NAMES = COLUMNS | {
    "nll": "negative log-likelihood",
    "brier": "Brier score",
    "entropy": "entropy",
    "confidence": "confidence γ",
    "negative_flip_rate": "negative flip rate",
    "positive_flip_rate": "positive flip rate",
    "excess_churn": "churn beyond a retraining's",
    "intra_pair_churn": "intra-pair churn",
}
HIGHER_IS_BETTER = {"accuracy"}


def percent(fraction: float | None, digits: int = 2) -> str:
    """A fraction as percent, without the sign: '4.31', or '–' where there is none."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    return f"{100 * fraction:.{digits}f}"


def cell(entry: dict[str, Any] | None) -> str:
    """`mean ± std [low, high]` in percent."""
    if entry is None:
        return "–"
    text = percent(entry["mean"])
    if entry.get("std") is not None:
        text += f" ± {percent(entry['std'])}"
    low, high = entry["ci95"]
    return f"{text} [{percent(low)}, {percent(high)}]"


def group_rows(report: dict[str, Any]) -> list[list[str]]:
    """One row of cells for each group: its name and number of runs, then `COLUMNS`."""
    return [
        [f"{group['name']} ({group['num_runs']})", *(cell(group[key]) for key in COLUMNS)]
        for group in report["groups"]
    ]


def header() -> list[str]:
    return ["group (runs)", *COLUMNS.values()]


def sentences(report: dict[str, Any]) -> list[str]:
    """One sentence for each contrast: whether the second group is better by its interval."""
    groups = {group["name"]: group for group in report["groups"]}
    return [
        contrast_sentence(contrast, groups[contrast["a"]], groups[contrast["b"]])
        for contrast in report["contrasts"]
    ]


def contrast_sentence(contrast: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> str:
    """What the contrast says, with its numbers."""
    metric = contrast["metric"]
    low, high = contrast["ci95"]
    if metric in HIGHER_IS_BETTER:
        better, worse = low > 0, high < 0
    else:
        better, worse = high < 0, low > 0
    verdict = "better" if better else "worse" if worse else "no difference shown"
    reach = "" if contrast["covers"] != "examples" else ", for these very runs"
    return (
        f"{NAMES[metric]}: {b['name']} {percent(b[metric]['mean'])} %, "
        f"{a['name']} {percent(a[metric]['mean'])} %: {signed(contrast['difference'])} points "
        f"[{signed(low)}, {signed(high)}], p = {p_text(contrast['p'])}: {verdict}{reach}"
    )


def signed(fraction: float) -> str:
    """A difference of fractions as percentage points with its sign."""
    return f"{100 * fraction:+.2f}".replace("-", "−")


def p_text(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def notes(report: dict[str, Any]) -> list[str]:
    """What a reader must know to read the table rightly."""
    lines = [
        "All in percent: mean ± standard deviation over runs (over pairs of runs for churn) "
        "[95 % interval]."
    ]
    if any(group["num_runs"] < 3 for group in report["groups"]):
        lines.append(
            "A group of fewer than three runs cannot show how much churn differs from one set of "
            "runs to the next: its interval allows for other examples, not for other runs."
        )
    if not all(all(group["bounds"].values()) for group in report["groups"]):
        lines.append("A bound of the paper (Lemma 1 or 2) failed: this is a bug, please report it.")
    return lines
