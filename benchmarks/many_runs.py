"""How much memory and time comparing many runs takes: it grows with the runs and what is asked.

    python benchmarks/many_runs.py [--runs=240] [--groups=24] [--examples=10000] [--classes=300]

Writes prediction files of made-up runs (12 MB each by default) into a temporary folder, and
compares 1/4, 1/2 and all of them, each in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("runs", 240), ("groups", 24), ("examples", 10_000), ("classes", 300)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--main", action="store_true", help="the main measures alone")
    parser.add_argument("--folder", help="of the files, to be kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        files = [folder / f"{run}.npz" for run in range(options.runs)]
        write([file for file in files if not file.exists()], options.examples, options.classes)
        each = options.runs // options.groups
        groups = [files[start : start + each] for start in range(0, options.runs, each)]
        for part in (4, 2, 1):
            chosen = groups[: max(2, len(groups) // part)]
            found = measured(chosen, options)
            runs = sum(map(len, chosen))
            print(
                f"{runs:4} runs in {len(chosen):3} groups: {found['pairs']:6} pairs, "
                f"{found['seconds']:6.1f} s of CPU, {found['peak'] / 1e6:5.0f} MB at most",
                flush=True,
            )


def write(files: list[Path], examples: int, classes: int) -> None:
    """Runs that differ by noise on shared logits."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(examples, classes)).astype(np.float32)
    labels = rng.integers(0, classes, examples)
    shared[np.arange(examples), labels] += 4
    for file in files:
        logits = shared + rng.normal(size=shared.shape).astype(np.float32)
        np.savez(file, logits=logits, labels=labels)


def measured(groups: list[list[Path]], options: argparse.Namespace) -> dict[str, float]:
    """{pairs, seconds, peak} of a process that compares the groups."""
    named = {f"group {place}": list(map(str, files)) for place, files in enumerate(groups)}
    asked = json.dumps({"groups": named, "main": options.main})
    done = subprocess.run(
        [sys.executable, __file__, "--child"],
        input=asked, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def child() -> None:
    """Compares the groups on standard input, and prints what that took."""
    from churn_jax.analysis import building, comparison
    from churn_jax.analysis.pairing import Pairing

    asked = json.load(sys.stdin)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        comparison.compare(asked["groups"], everything=not asked["main"]).write(out)
    groups = [place for place, files in enumerate(asked["groups"].values()) for _ in files]
    found = {
        "pairs": Pairing.of(groups, building.changes(len(asked["groups"]))).num_pairs,
        "seconds": time.process_time() - started,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    child() if "--child" in sys.argv else main()
