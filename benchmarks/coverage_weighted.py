"""How often the intervals hold the truth where examples were drawn unequally and have weights.

    python benchmarks/coverage_weighted.py --out=docs/benchmarks
    python benchmarks/coverage_weighted.py --runs 3 --examples 1200 --repeats=100    # a quick look

The runs and worlds are those of `coverage.py`. An example gets into the sample the less often the
clearer it is: with the probability 1/w, w = exp(strength · gap) of the gap between its two largest
true logits, and then counts w. So hard examples, on which everything happens, are there too often
and count too little, and without weights nearly every interval would miss. What the intervals are
to hold is the truth of all examples: churn of models that were looked at on a sample that a label
budget drew. The strength says how unequal the weights are; the tables say how many examples of
equal weight are as good.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import coverage
import numpy as np
from coverage import CLASSES, SETTINGS, World

from churn_jax.analysis import asked, weighting
from churn_jax.analysis.asked import Known
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples, interval_of
from churn_jax.predictions.run import Run

ASKED = Known([str(place) for place in range(CLASSES)], True, True).resolve(
    {"benchmark": ("auc", "f1", "recall", "recall[0]", "top3_churn")}
)
STRENGTHS = (1.0, 2.0)


def draw(
    world: World, strength: float, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(φ, weights) of so many examples, drawn with a probability of one over their weight."""
    found: list[np.ndarray] = []
    while sum(map(len, found)) < count:
        phi = coverage.examples(world, rng, 4 * count)
        found.append(phi[rng.random(len(phi)) < 1 / _weights(world, strength, phi)])
    phi = np.concatenate(found)[:count]
    return phi, _weights(world, strength, phi)


def _weights(world: World, strength: float, phi: np.ndarray) -> np.ndarray:
    second, first = np.partition(phi, -2, axis=1)[:, -2:].T
    return np.exp(strength * (first - second).astype(np.float64) / world.scale)


def simulate(
    worlds: Sequence[World], strength: float, runs: int, count: int, rng: np.random.Generator
) -> Samples:
    """What would be measured of new runs on new examples; with a strength of 0 of all alike."""
    phi, weights = draw(worlds[0], strength, count, rng)
    labels = coverage.labels_of(phi, rng)
    logs = [coverage.predict(world, phi, rng) for world in worlds for _ in range(runs)]
    sources = [
        Run(lambda rows, of_run=of_run: of_run[rows], "log_probs", place // runs)
        for place, of_run in enumerate(logs)
    ]
    wanted = asked.wanted(ASKED, CLASSES, Wanted())
    measured = measure(
        sources,
        labels,
        count,
        CLASSES,
        wanted,
        weights=weighting.relative(weights) if strength else None,
    )
    return Samples(measured, [chr(ord("a") + place) for place in range(len(worlds))], asked=ASKED)


def intervals_of(samples: Samples) -> Iterator[tuple[str, float, float]]:
    """(what, low, high) of everything that is measured of two groups."""
    yield from coverage.intervals_of(samples)
    for each in ASKED:
        for group in (0, 1):
            found = interval_of(each.key, samples.own(each.key, group))
            yield f"{each.key} of {samples.names[group]}", found.low, found.high


def truth(setting: str, num_runs: int, num_examples: int) -> dict[str, float]:
    """Of all examples: as of `coverage.truth`, and of what is asked for the mean of many."""
    known = coverage.truth(SETTINGS[setting], num_runs, num_examples)
    rng, sums = np.random.default_rng(3), {}
    for _ in range(num_runs // 4):
        samples = simulate(SETTINGS[setting], 0.0, 4, num_examples, rng)
        for each, group in itertools.product(ASKED, (0, 1)):
            what = f"{each.key} of {samples.names[group]}"
            sums.setdefault(what, []).append(samples.own(each.key, group).mean)
    return known | {what: float(np.mean(values)) for what, values in sums.items()}


def held(
    setting: str, strength: float, runs: int, count: int, repeats: int, truths: dict[str, float]
) -> tuple[dict[str, float], float]:
    """({what: share of its intervals that hold the truth}, how many equal examples are as good)."""
    rng = np.random.default_rng([2, runs, count, int(10 * strength)])
    hits: dict[str, int] = {}
    as_good = []
    for _ in range(repeats):
        samples = simulate(SETTINGS[setting], strength, runs, count, rng)
        as_good.append(weighting.effective(samples.measured.weights))
        for what, low, high in intervals_of(samples):
            hits[what] = hits.get(what, 0) + (low <= truths[what] <= high)
    return {what: hit / repeats for what, hit in hits.items()}, float(np.mean(as_good))


def main() -> None:
    """Runs it and writes coverage_weighted.json and coverage_weighted.md."""
    options = coverage.parser(__doc__, "coverage_weighted", examples=(1200,)).parse_args()
    coverage.simulate_and_write("coverage_weighted", options, _run, _markdown)


def _run(options: argparse.Namespace, pool: ProcessPoolExecutor) -> dict:
    truths = {
        setting: pool.submit(truth, setting, options.truth_runs, options.truth_examples)
        for setting in SETTINGS
    }
    known = {setting: future.result() for setting, future in truths.items()}
    jobs = {
        (setting, *size): pool.submit(held, setting, *size, options.repeats, known[setting])
        for setting in SETTINGS
        for size in itertools.product(STRENGTHS, options.runs, options.examples)
    }
    columns, truths = [], {}
    for (setting, strength, runs, count), future in jobs.items():
        found, as_good = future.result()
        title = f"{setting}, strength {strength:g}"
        truths[title] = known[setting]
        columns.append(
            {"setting": title, "runs": runs, "examples": count, "as_good": as_good, "held": found}
        )
    return {"truth": truths, "coverage": columns}


def _markdown(found: dict, options: argparse.Namespace) -> str:
    shares = {each["setting"]: each["as_good"] / each["examples"] for each in found["coverage"]}
    listed = "; ".join(f"{title} {share:.0%}" for title, share in shares.items())
    lines = [
        f"{coverage.sentence(options.repeats)} on "
        f"weighted examples. So many of equal weight would be as good: {listed}."
    ]
    lines += coverage.tables(found)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
