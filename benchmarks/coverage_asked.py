"""How often the intervals of measures that are asked for hold the truth.

    python benchmarks/coverage_asked.py --out=docs/benchmarks
    python benchmarks/coverage_asked.py --runs 3 --examples 1200 --repeats=100    # a quick look

The runs are those of `coverage.py`: its settings, its worlds `a` and `b` and its examples, of 10
classes of about the same size. Beside them stands a rare class: all examples of class 0 but a
tenth are left out, so that of 1,200 examples about 12 are of it.
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import coverage
import numpy as np
from coverage import CLASSES, SETTINGS, World

from churn_jax.analysis import asked
from churn_jax.analysis.asked import Known
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples, difference_of, interval_of
from churn_jax.metrics.definitions import definition
from churn_jax.predictions.run import Run

CLASS_MEASURES = ("auc", "f1", "precision", "recall")
ASKED = Known([str(place) for place in range(CLASSES)], True, True).resolve(
    {
        "benchmark": (
            *CLASS_MEASURES,
            *(f"{key}[{place}]" for place in (0, 1) for key in CLASS_MEASURES),
            *("top3_accuracy", "top3_churn"),
        )
    }
)
RARE, KEPT = 0, 0.1


def draw(
    worlds: Sequence[World], runs: int, num_examples: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(labels, log-probabilities of so many new runs of each world) of new examples."""
    phi = coverage.examples(worlds[0], rng, round(num_examples / (1 - (1 - KEPT) / CLASSES)))
    labels = coverage.labels_of(phi, rng)
    kept = (labels != RARE) | (rng.random(len(labels)) < KEPT)
    phi, labels = phi[kept], labels[kept]
    return labels, [coverage.predict(world, phi, rng) for world in worlds for _ in range(runs)]


def simulate(
    worlds: Sequence[World], runs: int, num_examples: int, rng: np.random.Generator
) -> Samples:
    """What would be measured of new runs on new examples."""
    labels, logs = draw(worlds, runs, num_examples, rng)
    sources = [
        Run(lambda rows, of_run=of_run: of_run[rows], "log_probs", place // runs)
        for place, of_run in enumerate(logs)
    ]
    wanted = asked.wanted(ASKED, CLASSES, Wanted())
    measured = measure(sources, labels, len(labels), CLASSES, wanted)
    return Samples(measured, [chr(ord("a") + place) for place in range(len(worlds))], asked=ASKED)


def intervals_of(samples: Samples) -> Iterator[tuple[str, float, float, float]]:
    """(what, mean, low, high) of every measure of two groups, and of the differences."""
    for each in ASKED:
        title = definition(each.key).title
        own = [samples.own(each.key, group) for group in (0, 1)]
        for name, sample in zip(samples.names, own, strict=True):
            found = interval_of(each.key, sample)
            yield f"{title}, {name}", found.mean, found.low, found.high
        found = difference_of(each.key, own[1], own[0])
        yield f"{title}, difference", found.mean, found.low, found.high


def truth(worlds: tuple[World, World], num_runs: int, num_examples: int, seed: int) -> dict:
    """The mean of everything in `intervals_of` over many large samples of new runs.

    A ratio of a sample is off by its own order 1/n, which of so many examples is nothing.
    """
    rng, sums = np.random.default_rng([1, seed]), {}
    for _ in range(num_runs // 4):
        for what, mean, *_ in intervals_of(simulate(worlds, 4, num_examples, rng)):
            sums.setdefault(what, []).append(mean)
    return {what: float(np.mean(values)) for what, values in sums.items()}


def held(setting: str, runs: int, num_examples: int, repeats: int, truths: Mapping) -> dict:
    """{what: share of its intervals that hold the truth}; what is not defined holds nothing."""
    rng = np.random.default_rng([2, runs, num_examples])
    hits: dict[str, int] = {}
    for _ in range(repeats):
        samples = simulate(SETTINGS[setting], runs, num_examples, rng)
        for what, _, low, high in intervals_of(samples):
            hits[what] = hits.get(what, 0) + (low <= truths[what] <= high)
    return {what: count / repeats for what, count in hits.items()}


def main() -> None:
    """Runs it and writes coverage_asked.json and coverage_asked.md."""
    options = coverage.parser(__doc__, "coverage_asked").parse_args()
    coverage.simulate_and_write("coverage_asked", options, _run, _markdown)


def _run(options: argparse.Namespace, pool: ProcessPoolExecutor) -> dict:
    parts = options.workers
    of_setting = {
        setting: [
            pool.submit(truth, worlds, options.truth_runs // parts, options.truth_examples, part)
            for part in range(parts)
        ]
        for setting, worlds in SETTINGS.items()
    }
    known = {
        setting: _mean([future.result() for future in futures])
        for setting, futures in of_setting.items()
    }
    jobs = {
        (setting, *size): pool.submit(held, setting, *size, options.repeats, known[setting])
        for setting in SETTINGS
        for size in itertools.product(options.runs, options.examples)
    }
    return {
        "truth": known,
        "coverage": [
            {"setting": setting, "runs": runs, "examples": count, "held": future.result()}
            for (setting, runs, count), future in jobs.items()
        ],
    }


def _mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {what: float(np.mean([part[what] for part in parts])) for what in parts[0]}


def _markdown(found: dict, options: argparse.Namespace) -> str:
    lines = [
        f"{coverage.sentence(options.repeats)}. Class {RARE} is rare: about 1 % of the examples."
    ]
    lines += coverage.tables(found)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
