"""Seconds from the command to the first step of the quickstart, cold and with programs kept.

    python benchmarks/start.py --out=docs/benchmarks

`cold` starts with an empty compilation cache, `warm` with what the cold start left there; each is
the median of several starts. `import` is `import churn_jax.main` in a fresh interpreter. Packages
are read as pip leaves them, with bytecode, also where PYTHONDONTWRITEBYTECODE is set: without it,
every start would compile 5,000 files anew.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
POLL_SECONDS = 0.02


def main() -> None:
    """Times every kind of start and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="configs/digits.py:baseline")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for start.json")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    seconds: dict[str, list[float]] = {"import": [], "cold": [], "warm": []}
    for _ in range(options.repeats):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import churn_jax.main"], cwd=ROOT, check=True)
        seconds["import"].append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as cache:
            seconds["cold"].append(first_step(options.config, cache))
            seconds["warm"].append(first_step(options.config, cache))
    report = {
        "config": options.config,
        "cores": len(os.sched_getaffinity(0)),
        **{name: {"median": statistics.median(all), "all": all} for name, all in seconds.items()},
    }
    for name, all in seconds.items():
        print(f"{name:6} {statistics.median(all):5.1f} s")
    if options.out:
        (options.out / "start.json").write_text(json.dumps(report, indent=1) + "\n")


def first_step(config: str, cache: str) -> float:
    """Seconds until the first step's losses are written, compilation included."""
    with tempfile.TemporaryDirectory() as workdir:
        command = [sys.executable, "-m", "churn_jax.main", f"--config={config}"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}", "--config.log_every=1"],
            cwd=ROOT,
            env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        metrics = Path(workdir) / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - began
        process.kill()
        process.wait()
    if process.returncode != -9:
        raise RuntimeError(f"{config}: training ended with {process.returncode} before a step")
    return seconds


if __name__ == "__main__":
    main()
