"""How often the intervals hold the truth, and how often a report claims what is not so.

    python benchmarks/coverage.py --out=docs/benchmarks
    python benchmarks/coverage.py --runs 3 --examples 1200 --repeats=100    # a quick look

Runs are simulated from a model whose truth is known: an example has logits φ, its label is drawn
from softmax(φ), and a run predicts softmax(t · (φ + bias + noise)), with a temperature t, a bias of
the classes and a strength of the noise of its own. So runs share what is hard and differ in the
rest. There are two settings: runs that are nearly equal, and runs that differ clearly in accuracy,
churn and calibration. In each, group `a` is calibrated nearly (ECE about 1 %) and group `b` badly.

Coverage: for each number of runs and examples, so many new sets of runs on new examples, and for
each measure how many of its 95 % intervals held the expectation over all runs and examples, which
is taken from many more. Claims: reports on equal groups, and how many of them called anything
better or worse.
"""

import argparse
import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from churn_jax.analysis import building, claims, summaries
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples, difference_of, interval_of
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.predictions.run import Run
from churn_jax.report.estimates import Change, Group, Test

CLASSES = 10
RUNS, EXAMPLES = (3, 5, 10), (1200, 10_000)
OWN = (*("accuracy", "nll", "ece", "churn", "schurn", "churn_correct", "churn_incorrect", "kappa"),)
CHANGES = ("negative_flip_rate", "excess_churn")
CONTRASTS = ("accuracy", "churn", "ece")


@dataclasses.dataclass(frozen=True)
class World:
    """What runs of one group are drawn from.

    Attributes:
      noise: standard deviation of the noise on the logits; those of examples have `scale`.
      temperature: of the logits.
      differing: how much runs differ: of the logarithms of their noise and (half that) temperature
        the standard deviation, and of their bias in units of the noise.
      scale: standard deviation of an example's logits.
    """

    noise: float
    temperature: float
    differing: float
    scale: float = 15.0


SETTINGS: Mapping[str, tuple[World, World]] = {
    "nearly equal": (World(1.5, 0.62, 0.02), World(2.2, 0.9, 0.02)),
    "different": (World(1.5, 0.62, 0.15), World(2.2, 0.9, 0.15)),
}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In place."""
    logits -= logits.max(-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    return logits


def examples(world: World, rng: np.random.Generator, count: int) -> np.ndarray:
    """φ of new examples, [example, class] float32."""
    return np.float32(world.scale) * rng.standard_normal((count, CLASSES), dtype=np.float32)


def labels_of(phi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label for each example, drawn from softmax(φ): the largest of φ and Gumbel noise."""
    exponential = rng.standard_exponential(phi.shape, dtype=np.float32)
    return (phi - np.log(np.maximum(exponential, np.finfo(np.float32).tiny))).argmax(1)


def predict(world: World, phi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The log-probabilities that a new run gives, [example, class]."""
    spread = world.differing
    noise = world.noise * np.exp(spread * rng.normal())
    temperature = world.temperature * np.exp(spread / 2 * rng.normal())
    bias = (2 * spread * world.noise * rng.normal(size=CLASSES)).astype(np.float32)
    logits = np.float32(noise) * rng.standard_normal(phi.shape, dtype=np.float32)
    logits += phi + bias
    logits *= np.float32(temperature)
    return log_softmax(logits)


# ------------------------------------------------------------------------------- the estimates


def simulate(
    worlds: Sequence[World], runs: int, num_examples: int, rng: np.random.Generator
) -> Samples:
    """What would be measured of so many new runs of each world on the same new examples."""
    phi = examples(worlds[0], rng, num_examples)
    labels = labels_of(phi, rng)
    logs = [predict(world, phi, rng) for world in worlds for _ in range(runs)]
    sources = [
        Run(lambda rows, of_run=of_run: of_run[rows], "log_probs", place // runs)
        for place, of_run in enumerate(logs)
    ]
    measured = measure(sources, labels, num_examples, CLASSES, Wanted())
    return Samples(measured, [chr(ord("a") + place) for place in range(len(worlds))])


def intervals_of(samples: Samples) -> Iterator[tuple[str, float, float]]:
    """(what, low, high) for every measure of two groups."""
    own = {(key, group): samples.own(key, group) for key in OWN for group in (0, 1)}
    for (key, group), sample in own.items():
        found = interval_of(key, sample)
        yield f"{key} of {samples.names[group]}", found.low, found.high
    for key in CHANGES:
        found = interval_of(key, samples.between(key, 0, 1))
        yield f"{key} from a to b", found.low, found.high
    for key in CONTRASTS:
        found = difference_of(key, own[key, 1], own[key, 0])
        yield f"difference of {key}", found.low, found.high


# ------------------------------------------------------------------------------------ the truth


def truth(worlds: tuple[World, World], num_runs: int, num_examples: int) -> dict[str, float]:
    """The expectation of everything in `intervals_of`, over new runs and new examples.

    Whether a prediction is right is replaced by the probability that it is, which is known, so that
    few examples do. The calibration error's bins are filled by many examples of each run.
    """
    rng = np.random.default_rng(1)
    sums: dict[str, list[float]] = {}
    for _ in range(num_runs // 4):
        phi = examples(worlds[0], rng, num_examples)
        right = np.exp(log_softmax(phi.copy()))
        logs = [[predict(world, phi, rng) for _ in range(4)] for world in worlds]
        for name, value in _expectations(logs, right):
            sums.setdefault(name, []).append(value)
    found = {name: float(np.mean(values)) for name, values in sums.items()}
    for name in "ab":
        churn = found[f"churn of {name}"]
        error = 1 - found[f"accuracy of {name}"]
        found[f"churn_correct of {name}"] = found[f"changed and right of {name}"] / (1 - error)
        found[f"churn_incorrect of {name}"] = (
            churn - found[f"changed and right of {name}"]
        ) / error
        found[f"kappa of {name}"] = 1 - churn / found[f"churn by chance of {name}"]
    found["excess_churn from a to b"] = (
        found["churn from a to b"] - (found["churn of a"] + found["churn of b"]) / 2
    )
    for key in CONTRASTS:
        found[f"difference of {key}"] = found[f"{key} of b"] - found[f"{key} of a"]
    return found


def _expectations(
    logs: Sequence[Sequence[np.ndarray]], right: np.ndarray
) -> Iterator[tuple[str, float]]:
    """From four runs of each group on the same examples, whose true probabilities are `right`."""
    rows = np.arange(len(right))
    classes = [[p.argmax(1) for p in of_group] for of_group in logs]
    for group, name in enumerate("ab"):
        chance = np.stack([right[rows, found] for found in classes[group]])
        tops = np.exp(np.stack([p.max(1) for p in logs[group]]).astype(np.float64))
        yield f"accuracy of {name}", chance.mean()
        yield f"ece of {name}", np.mean([_ece(t, c) for t, c in zip(tops, chance, strict=True)])
        losses = [-(right * log_probs).sum(1).mean() for log_probs in logs[group]]
        yield f"nll of {name}", float(np.mean(losses))
        pairs = list(itertools.combinations(range(4), 2))
        differ = {(i, j): classes[group][i] != classes[group][j] for i, j in pairs}
        relative = [np.exp(p - p.max(1, keepdims=True)) for p in logs[group]]
        yield f"churn of {name}", float(np.mean([d.mean() for d in differ.values()]))
        yield (
            f"schurn of {name}",
            float(np.mean([np.abs(relative[i] - relative[j]).sum(1).mean() / 2 for i, j in pairs])),
        )
        changed = [(d * (chance[i] + chance[j])).mean() / 2 for (i, j), d in differ.items()]
        yield f"changed and right of {name}", float(np.mean(changed))
        rates = np.stack([np.bincount(c, minlength=CLASSES) / len(right) for c in classes[group]])
        by_chance = [1 - rates[i] @ rates[j] for i, j in pairs]
        yield f"churn by chance of {name}", float(np.mean(by_chance))
    across = [(a, b, a != b) for a, b in itertools.product(*classes)]
    yield "churn from a to b", float(np.mean([d.mean() for *_, d in across]))
    flips = [(d * right[rows, a]).mean() for a, _, d in across]
    yield "negative_flip_rate from a to b", float(np.mean(flips))


def _ece(top: np.ndarray, right: np.ndarray) -> float:
    gaps = np.bincount(bin_indices(top, NUM_BINS), right - top, NUM_BINS)
    return float(np.abs(gaps).sum() / len(top))


# ---------------------------------------------------------------------------------- the studies


def coverage(setting: str, runs: int, num_examples: int, repeats: int, truths: dict) -> dict:
    """{what: share of its intervals that hold the truth}."""
    rng = np.random.default_rng([runs, num_examples])
    hits: dict[str, int] = {}
    for _ in range(repeats):
        for what, low, high in intervals_of(simulate(SETTINGS[setting], runs, num_examples, rng)):
            hits[what] = hits.get(what, 0) + (low <= truths[what] <= high)
    return {what: count / repeats for what, count in hits.items()}


def false_claims(setting: str, num_groups: int, runs: int, num_examples: int, repeats: int) -> dict:
    """Of reports on equal groups, the share that says 'better' or 'worse', and that has a hint."""
    rng = np.random.default_rng(num_groups)
    world = SETTINGS[setting][0]
    said = hinted = 0
    for _ in range(repeats):
        found = claims_of(simulate([world] * num_groups, runs, num_examples, rng))
        said += bool(found & {"better", "worse", "higher", "lower"})
        hinted += "hint" in found
    return {"claims": said / repeats, "hints": hinted / repeats}


def claims_of(samples: Samples) -> set[str]:
    """Everything that a report on these samples would claim."""
    groups = [Group(name=name, num_runs=2, measures={}, bounds={}) for name in samples.names]
    pairs = building.changes(len(samples.names))
    changes = []
    for a, b in pairs:
        excess = samples.between("excess_churn", a, b)
        measures = {"excess_churn": summaries.estimate("excess_churn", excess)}
        test = Test(interval_of("excess_churn", excess).p)
        changes.append(Change(groups[a].name, groups[b].name, measures, excess_churn_test=test))
    contrasts, decided = claims.decide(summaries.contrasts(samples, pairs, groups), changes)
    said = {contrast.claim for contrast in contrasts}
    return said | {change.excess_churn_test.claim for change in decided}


def parser(
    about: str,
    name: str,
    runs: Sequence[int] = (3, 10),
    examples: Sequence[int] = EXAMPLES,
) -> argparse.ArgumentParser:
    """Of the command of a simulation that writes NAME.json and NAME.md."""
    made = argparse.ArgumentParser(description=about.split("\n")[0])
    made.add_argument("--out", type=Path, help=f"folder for {name}.json and {name}.md")
    made.add_argument("--repeats", type=int, default=1000, help="sets of runs for each figure")
    made.add_argument("--runs", type=int, nargs="+", default=runs)
    made.add_argument("--examples", type=int, nargs="+", default=examples)
    made.add_argument("--truth_runs", type=int, default=400)
    made.add_argument("--truth_examples", type=int, default=50_000)
    made.add_argument("--workers", type=int, default=os.cpu_count())
    return made


def simulate_and_write(
    name: str,
    options: argparse.Namespace,
    run: Callable[[argparse.Namespace, ProcessPoolExecutor], dict],
    markdown: Callable[[dict, argparse.Namespace], str],
) -> None:
    """Prints `markdown` of what `run` finds, and writes both as `parser` says."""
    with ProcessPoolExecutor(options.workers) as pool:
        found = run(options, pool)
    text = markdown(found, options)
    print(text)
    if options.out:
        (options.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.out / f"{name}.md").write_text(text)


def sentence(repeats: int) -> str:
    """What the tables are of, without its full stop."""
    return (
        f"Share of 95 % intervals that hold the truth, in percent, of {repeats:,} sets of runs "
        f"(the simulation's own standard error is {100 * (0.95 * 0.05 / repeats) ** 0.5:.1f})"
    )


def main() -> None:
    """Runs both and writes coverage.json and coverage.md."""
    asked = parser(__doc__, "coverage", RUNS)
    asked.add_argument("--reports", type=int, default=400, help="reports on equal groups")
    simulate_and_write("coverage", asked.parse_args(), _run, _markdown)


def _run(options: argparse.Namespace, pool: ProcessPoolExecutor) -> dict:
    truths = {
        setting: pool.submit(truth, worlds, options.truth_runs, options.truth_examples)
        for setting, worlds in SETTINGS.items()
    }
    equal = {
        num_groups: pool.submit(
            false_claims, "nearly equal", num_groups, 10, min(options.examples), options.reports
        )
        for num_groups in (2, 4, 8)
    }
    known = {setting: future.result() for setting, future in truths.items()}
    sizes = list(itertools.product(options.runs, options.examples))
    jobs = {
        (setting, *size): pool.submit(coverage, setting, *size, options.repeats, known[setting])
        for setting in SETTINGS
        for size in sizes
    }
    return {
        "truth": known,
        "coverage": [
            {"setting": setting, "runs": runs, "examples": count, "held": future.result()}
            for (setting, runs, count), future in jobs.items()
        ],
        "equal_groups": [{"groups": n, **future.result()} for n, future in equal.items()],
    }


def tables(found: dict) -> list[str]:
    """How often each interval held the truth: a Markdown table for each setting."""
    lines: list[str] = []
    for setting, known in found["truth"].items():
        columns = [each for each in found["coverage"] if each["setting"] == setting]
        heads = [f"{each['runs']} runs, {each['examples']:,}" for each in columns]
        lines += ["", f"Runs that are {setting}:", ""]
        lines += ["| | truth | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
        for what in columns[0]["held"]:
            held = " | ".join(f"{100 * each['held'][what]:.1f}" for each in columns)
            lines.append(f"| {what} | {known[what]:.4f} | {held} |")
    return lines


def _markdown(found: dict, options: argparse.Namespace) -> str:
    lines = [
        f"{sentence(options.repeats)}.",
    ]
    lines += tables(found)
    lines += [
        "",
        f"Of {options.reports:,} reports on equal groups of 10 runs and {min(options.examples):,} "
        "examples, in percent:",
        "",
        "| groups | calls something better or worse | has a hint |",
        "|---|---|---|",
    ]
    for each in found["equal_groups"]:
        claimed, hinted = 100 * each["claims"], 100 * each["hints"]
        lines.append(f"| {each['groups']} | {claimed:.1f} | {hinted:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
