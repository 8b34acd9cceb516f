"""The numbers of a report as words: cells, rows, and sentences."""

import math
from collections.abc import Sequence
from typing import Any

from churn_jax.metrics.definitions import DEFINITIONS, definition

Report = dict[str, Any]

GROUP_COLUMNS = ("accuracy", "churn", "schurn", "churn_correct", "churn_incorrect", "ece")
STEP_COLUMNS = ("churn", "negative_flip_rate", "positive_flip_rate", "schurn", "excess_churn")
SAID = ("churn", "accuracy", "schurn", "ece")


def number(key: str, value: float | None, unit: bool = False) -> str:
    """A value as the measure is shown: percent with two digits, or four significant digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if definition(key).percent:
        text = f"{100 * value:.2f}" + (" %" if unit else "")
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")


def signed(key: str, value: float | None) -> str:
    """A difference with its sign."""
    text = number(key, value)
    return text if value is None or value < 0 or text == "–" else f"+{text}"


def cell(key: str, entry: dict[str, Any] | None) -> str:
    """`mean ± std [low, high]`."""
    if entry is None:
        return "–"
    text = number(key, entry["mean"])
    if entry.get("std") is not None:
        text += f" ± {number(key, entry['std'])}"
    low, high = entry["ci95"]
    return text if low is None else f"{text} [{number(key, low)}, {number(key, high)}]"


def columns(entries: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[str]:
    """Those of the keys that any of the entries has a value for."""
    return [key for key in keys if any(entry.get(key) is not None for entry in entries)]


def group_table(report: Report) -> list[list[str]]:
    """The table of groups, its header first."""
    keys = columns(report["groups"], GROUP_COLUMNS)
    return [
        ["group (runs)", *(DEFINITIONS[key].title for key in keys)],
        *(
            [f"{group['name']} ({_runs(group)})", *(cell(key, group[key]) for key in keys)]
            for group in report["groups"]
        ),
    ]


def _runs(group: dict[str, Any]) -> str:
    """How many runs a group has, and what is wrong with them."""
    faults = [f"{len(group['never_learned'])} never learned"] * bool(group["never_learned"])
    faults += ["not independent"] * bool(group["not_independent"])
    return ", ".join([str(group["num_runs"]), *faults])


def step_table(report: Report) -> list[list[str]]:
    """The table of steps between groups, its header first; empty if there is one group."""
    steps = report["between"]
    if not steps:
        return []
    keys = columns(steps, STEP_COLUMNS)
    return [
        ["from → to", *(DEFINITIONS[key].title for key in keys)],
        *(
            [f"{step['a']} → {step['b']}", *(cell(key, step[key]) for key in keys)]
            for step in steps
        ),
    ]


def sentences(report: Report) -> list[str]:
    """One sentence for each contrast: whether the second group is better by its interval.

    And one for each pair of single models: McNemar's test that they are right equally often.
    """
    groups = {group["name"]: group for group in report["groups"]}
    found = [
        contrast_sentence(contrast, groups[contrast["a"]], groups[contrast["b"]])
        for contrast in report["contrasts"]
        if contrast["metric"] in SAID
    ]
    return found + [_mcnemar(step) for step in report["between"] if "mcnemar" in step]


def contrast_sentence(contrast: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> str:
    """What the contrast says, with its numbers."""
    key = contrast["metric"]
    found, (low, high) = definition(key), contrast["ci95"]
    below, above = high < 0, low > 0
    if found.better == "higher":
        better, worse = above, below
    else:
        better, worse = below, above
    verdict = "better" if better else "worse" if worse else "no difference shown"
    reach = "" if contrast["covers"] != "examples" else ", for these very runs"
    if contrast["withheld"]:
        verdict, reach = f"no verdict, because {contrast['withheld']}", ""
    return (
        f"{found.title}: {b['name']} {number(key, b[key]['mean'], unit=True)}, "
        f"{a['name']} {number(key, a[key]['mean'], unit=True)}: "
        f"{signed(key, contrast['difference'])}{' points' if found.percent else ''} "
        f"[{signed(key, low)}, {signed(key, high)}], p = {p_text(contrast['p'])} "
        f"({p_text(contrast['p_holm'])} by Holm): {verdict}{reach}"
    )


def _mcnemar(step: dict[str, Any]) -> str:
    found = step["mcnemar"]
    return (
        f"McNemar: {step['a']} alone is right {found['only_a_right']} times, {step['b']} alone "
        f"{found['only_b_right']} times, p = {p_text(found['p'])}"
    )


def p_text(p: float) -> str:
    """A p-value with two digits."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def headline(report: Report) -> str:
    """What changes, in a few sentences for anybody; or why nothing can be said."""
    if broken := [group["name"] for group in report["groups"] if group["never_learned"]]:
        return (
            f"No result: {' and '.join(broken)} {'has' if len(broken) == 1 else 'have'} runs that "
            "never learned, and churn between broken models says nothing about a method."
        )
    retrained = [group for group in report["groups"] if group["churn"]]
    parts = [f"{_percent_of(group['churn'])} of {group['name']}'s" for group in retrained[:4]]
    lines = []
    if len(parts) == 1:
        interval = _range(retrained[0]["churn"])
        lines.append(f"Retraining changes {parts[0]} predictions ({interval}).")
    elif parts:
        listed = ", ".join(parts[:-1]) + f" and {parts[-1]}"
        lines.append(f"Retraining alone changes {listed} predictions.")
    if report["between"]:
        # From the first group to the last.
        lines.append(_step_headline(report["between"][len(report["groups"]) - 2]))
    return " ".join(lines)


def _step_headline(step: dict[str, Any]) -> str:
    text = (
        f"Going from {step['a']} to {step['b']} changes {_percent_of(step['churn'])} of the "
        f"predictions ({_range(step['churn'])})"
    )
    if "negative_flip_rate" in step:
        good, bad = step["positive_flip_rate"]["mean"], step["negative_flip_rate"]["mean"]
        text += f": {100 * good:.1f} % for the better, {100 * bad:.1f} % for the worse"
    if step["excess_churn"]:
        low, high = step["excess_churn"]["ci95"]
        if low > 0:
            text += ". That is more than retraining alone changes"
        elif high < 0:
            text += ". That is less than retraining alone changes"
        else:
            text += ". It is not shown to be more than retraining alone changes"
    return text + "."


def verdict(report: Report) -> str:
    """The gate's verdict in one line, or the headline where there is no gate."""
    gate = report.get("gate", {"conditions": []})
    failed = [found for found in gate["conditions"] if found["failed"]]
    if not gate["conditions"]:
        return headline(report)
    if failed:
        return "FAILED: " + "; ".join(found["condition"] for found in failed)
    return f"PASSED: all {len(gate['conditions'])} conditions hold"


def gate_sentence(found: dict[str, Any]) -> str:
    """One condition of the gate in words."""
    low, high = found["ci95"]
    word = "fails" if found["failed"] else "holds"
    doubt = "" if found["certain"] else "; the interval leaves it open"
    return (
        f"{found['condition']} {word}: {found['left']:.4g} against {found['right']:.4g}, margin "
        f"{found['margin']:.2g} [{low:.2g}, {high:.2g}]{doubt}"
    )


def notes(report: Report) -> list[str]:
    """What a reader must know to read the tables rightly."""
    lines = [
        "Rates in percent: mean ± standard deviation over runs (for churn, over pairs of runs) "
        "[95 % interval]."
    ]
    if any(group["num_runs"] < 3 for group in report["groups"]):
        lines.append(
            "Fewer than three runs cannot show how much churn differs from one set of runs to the "
            "next: such a group's intervals allow for other examples, not for other runs."
        )
    if not all(all(entry["bounds"].values()) for entry in (*report["groups"], *report["between"])):
        lines.append("A bound of the paper (Lemma 1 or 2) failed: this is a bug, please report it.")
    return lines + list(report.get("notes", []))


def _percent_of(entry: dict[str, Any]) -> str:
    return f"{100 * entry['mean']:.1f} %"


def _range(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
