"""How fast all pairs of many prediction files are compared, beside plain NumPy and PyTorch.

    python benchmarks/compare.py --out=docs/benchmarks
    python benchmarks/compare.py --examples=5000 --contenders=churn_jax,numpy

Ten float32 files of probabilities, [50,000, 1,000] each; churn and SChurn₁ of all 45 pairs, ECE and
NLL of all runs. Every contender starts in a process of its own and reads the files from the page
cache; its time includes the reading and excludes imports and compilation; its peak memory is the
process's largest resident set. `numpy` and `torch` compute each pair from two arrays of
probabilities, as their users' loops do; `numpy_once` and `torch_once` normalise every run once and
keep all of them in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

RUNS = 10
REPEATS = 3


def main() -> None:
    """Makes the files, times every contender and writes the results."""
    options = _options()
    if options.worker:
        print(json.dumps(_work(options.worker, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        _make_files(Path(folder), options.examples, options.classes)
        results = {
            name: _best(name, folder, options.repeats) for name in options.contenders.split(",")
        }
    from churn_jax.system import processor

    report = {
        "processor": processor.name(),
        "runs": RUNS,
        "examples": options.examples,
        "classes": options.classes,
        "cores": len(os.sched_getaffinity(0)),
        "contenders": results,
        "limits": _limits(options.examples, options.classes, results),
        "scaling": _scaling(options) if options.scaling else None,
    }
    print(json.dumps(report, indent=1))
    if options.out:
        _write(Path(options.out), report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--contenders", default="churn_jax,numpy,numpy_once,torch,torch_once")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--scaling", action="store_true", help="also time other sizes")
    parser.add_argument("--scratch", help="where the files go; must hold 40 bytes × sizes")
    parser.add_argument("--out", help="folder for compare.json and compare.svg")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _make_files(folder: Path, examples: int, classes: int) -> None:
    """Runs that share most of each example's logits, written just now and so in the page cache."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, examples)
    np.save(folder / "labels.npy", labels)
    files = [
        np.lib.format.open_memmap(folder / f"{run}.npy", "w+", np.float32, (examples, classes))
        for run in range(RUNS)
    ]
    for start in range(0, examples, 1000):
        rows = labels[start : start + 1000]
        shared = 2 * rng.standard_normal((len(rows), classes), np.float32)
        shared[np.arange(len(rows)), rows] += 6
        for file in files:
            logits = shared + rng.standard_normal(shared.shape, np.float32)
            probs = np.exp(logits - logits.max(1, keepdims=True))
            file[start : start + 1000] = probs / probs.sum(1, keepdims=True)
    for file in files:
        file.flush()


def _best(name: str, folder: str, repeats: int) -> dict:
    """The fastest of several runs, each in a fresh process."""
    command = [sys.executable, "-P", __file__, f"--worker={name}", f"--folder={folder}"]
    found = []
    for _ in range(repeats):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(output.splitlines()[-1]))
    best = min(found, key=lambda result: result["seconds"])
    return best | {"all_seconds": [result["seconds"] for result in found]}


def _work(name: str, folder: Path) -> dict:
    """Runs one contender; returns its time, memory and results."""
    contender = CONTENDERS[name]
    files = [folder / f"{run}.npy" for run in range(RUNS)]
    prepared = contender(files, folder / "labels.npy")
    start = time.perf_counter()
    results = prepared()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gib": _peak_gib(), "results": results}


def _peak_gib() -> float:
    """This program's largest resident set; `getrusage` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) / (1 << 20)


def _churn_jax(files, labels):
    from churn_jax.analysis.blocks import Loops, Wanted
    from churn_jax.analysis.one_pass import measure
    from churn_jax.analysis.samples import Samples
    from churn_jax.predictions.alignment import align
    from churn_jax.predictions.readers import read, read_labels

    _compile(Loops.choose(1 << 60, 1, Wanted()))

    def run():
        sources = [source for file in files for source in read(file)]
        together = align({"runs": sources}, read_labels(labels))
        measured = measure(
            together.runs, together.labels, len(together.ids), together.num_classes, Wanted()
        )
        samples = Samples(measured, ["runs"])
        return {
            "churn": samples.within("churn", 0).mean,
            "schurn": samples.within("schurn", 0).mean,
            "ece": samples.run("ece", 0).mean,
            "nll": samples.run("nll", 0).mean,
        }

    return run


def _compile(loops) -> None:
    """Starts the compiled loops, on memory that is read-only as a file's where they get that."""
    two, both = np.full((2, 1, 2), 0.5, np.float32), slice(0, 2)
    loops.l1_of_pairs(two, both, both)
    mapped = two[0].copy()
    mapped.flags.writeable = False
    if loops.scaling:
        loops.scaling(mapped, two[1])


def _numpy(files, labels):
    def run():
        y = np.load(labels)
        probs = [np.load(file) for file in files]
        churn, schurn = [], []
        for i in range(RUNS):
            for j in range(i):
                a, b = probs[i], probs[j]
                churn.append(np.mean(a.argmax(1) != b.argmax(1)))
                a, b = a / a.max(1, keepdims=True), b / b.max(1, keepdims=True)
                schurn.append(0.5 * np.abs(a - b).sum(1).mean())
        return _means(churn, schurn, [_numpy_ece(p, y) for p in probs], _numpy_nll(probs, y))

    return run


def _numpy_once(files, labels):
    def run():
        y = np.load(labels)
        churn, schurn, ece, nll, predictions, relative = [], [], [], [], [], []
        for file in files:
            probs = np.load(file)
            ece.append(_numpy_ece(probs, y))
            nll += _numpy_nll([probs], y)
            predictions.append(probs.argmax(1))
            relative.append(probs / probs.max(1, keepdims=True))
        for i in range(RUNS):
            for j in range(i):
                churn.append(np.mean(predictions[i] != predictions[j]))
                schurn.append(0.5 * np.abs(relative[i] - relative[j]).sum(1).mean())
        return _means(churn, schurn, ece, nll)

    return run


def _torch(files, labels):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    def run():
        y = torch.from_numpy(np.load(labels))
        probs = [torch.from_numpy(np.load(file)) for file in files]
        classes = probs[0].shape[1]
        churn, schurn = [], []
        for i in range(RUNS):
            for j in range(i):
                a, b = probs[i], probs[j]
                churn.append((a.argmax(1) != b.argmax(1)).double().mean().item())
                a, b = a / a.amax(1, keepdim=True), b / b.amax(1, keepdim=True)
                schurn.append(0.5 * (a - b).abs().sum(1).mean().item())
        ece = [multiclass_calibration_error(p, y, classes, n_bins=15).item() for p in probs]
        nll = [torch.nn.functional.nll_loss(p.log(), y).item() for p in probs]
        return _means(churn, schurn, ece, nll)

    return run


def _torch_once(files, labels):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    def run():
        y = torch.from_numpy(np.load(labels))
        churn, schurn, ece, nll, predictions, relative = [], [], [], [], [], []
        for file in files:
            probs = torch.from_numpy(np.load(file))
            ece.append(multiclass_calibration_error(probs, y, probs.shape[1], n_bins=15).item())
            nll.append(torch.nn.functional.nll_loss(probs.log(), y).item())
            predictions.append(probs.argmax(1))
            relative.append(probs / probs.amax(1, keepdim=True))
        for i in range(RUNS):
            for j in range(i):
                churn.append((predictions[i] != predictions[j]).double().mean().item())
                schurn.append(0.5 * (relative[i] - relative[j]).abs().sum(1).mean().item())
        return _means(churn, schurn, ece, nll)

    return run


CONTENDERS = {
    "churn_jax": _churn_jax,
    "numpy": _numpy,
    "numpy_once": _numpy_once,
    "torch": _torch,
    "torch_once": _torch_once,
}


def _means(churn, schurn, ece, nll) -> dict[str, float]:
    measures = {"churn": churn, "schurn": schurn, "ece": ece, "nll": nll}
    return {name: float(np.mean(values)) for name, values in measures.items()}


def _numpy_nll(probs, labels) -> list[float]:
    return [float(-np.log(p[np.arange(len(labels)), labels]).mean()) for p in probs]


def _numpy_ece(probs, labels) -> float:
    top, right = probs.max(1), probs.argmax(1) == labels
    bins = np.clip(np.ceil(top * 15).astype(int) - 1, 0, 14)
    return float(np.abs(np.bincount(bins, right - top)).sum() / len(labels))


def _limits(examples: int, classes: int, results: dict) -> dict:
    """What the machine could do at best, measured now, and how near to it churn_jax comes.

    Arithmetic: three operations for each class of each pair (difference, absolute value, sum) and
    four for each class of each run (normalise, compare, sum, square), at the rate of one NumPy
    addition in cache on all cores. Memory: reading the files once at the rate of copying.
    """
    cores = len(os.sched_getaffinity(0))
    pairs = RUNS * (RUNS - 1) // 2
    operations = examples * classes * (3 * pairs + 4 * RUNS)
    arithmetic = operations / (cores * _additions_per_second())
    memory = RUNS * examples * classes * 4 / _bytes_per_second()
    seconds = results["churn_jax"]["seconds"] if "churn_jax" in results else None
    return {
        "arithmetic_seconds": arithmetic,
        "memory_seconds": memory,
        "fraction_of_arithmetic": seconds and arithmetic / seconds,
        "fraction_of_memory": seconds and memory / seconds,
    }


def _additions_per_second() -> float:
    """Of one core, while all of them add in their own caches."""
    cores = len(os.sched_getaffinity(0))

    def add(_):
        a, b = np.ones(1 << 13, np.float32), np.ones(1 << 13, np.float32)
        best = np.inf
        for _ in range(200):
            start = time.perf_counter()
            for _ in range(20):
                np.add(a, b, out=a)
            best = min(best, (time.perf_counter() - start) / 20)
        return len(a) / best

    with ThreadPoolExecutor(cores) as pool:
        return float(np.mean(list(pool.map(add, range(cores)))))


def _bytes_per_second() -> float:
    """Read by one copy of a large array."""
    source = np.ones(1 << 27, np.float32)
    target = np.zeros_like(source)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return source.nbytes / best


def _scaling(options: argparse.Namespace) -> dict:
    """churn_jax at other sizes: seconds against examples, and against classes."""
    found: dict = {"examples": [], "classes": []}
    sizes = [("examples", n, 1000) for n in (5_000, 10_000, 20_000, 30_000)]
    sizes += [("classes", 10_000, k) for k in (250, 500, 1000, 2000, 4000)]
    for axis, examples, classes in sizes:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            _make_files(Path(folder), examples, classes)
            best = _best("churn_jax", folder, options.repeats)
        at = examples if axis == "examples" else classes
        found[axis].append([at, best["seconds"], best["peak_gib"]])
    return found


def _write(out: Path, report: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "compare.json").write_text(json.dumps(report, indent=1) + "\n")
    if report["scaling"]:
        for axis, points in report["scaling"].items():
            (out / f"compare_{axis}.svg").write_text(_figure(axis, points))


def _figure(axis: str, points: list[list[float]]) -> str:
    from churn_jax.report.svg import Plot, ceiling

    xs, seconds = [point[0] for point in points], [point[1] for point in points]
    fixed = "1,000 classes" if axis == "examples" else "10,000 examples"
    title = f"Seconds for all 45 pairs of 10 runs against {axis}, {fixed}"
    plot = Plot((0, max(xs)), (0, ceiling(max(seconds))), f"{axis} ({fixed})", "seconds", title)
    plot.line([0, max(xs)], [0, seconds[-1] / xs[-1] * max(xs)], "muted dashed")
    plot.line(xs, seconds, "s0")
    for x, y in zip(xs, seconds, strict=True):
        plot.dot(x, y, "s0", f"{x:,}: {y:.2f} s")
    style = (
        "<style>text{font:12px sans-serif;fill:#59636e}.middle{text-anchor:middle}"
        ".end{text-anchor:end}.line{fill:none;stroke:#1f5fae;stroke-width:2}.dot{fill:#1f5fae}"
        ".muted{stroke:#9aa4af;stroke-dasharray:5 4}.grid{stroke:#d5dae0}.axis{stroke:#59636e}"
        "</style>"
    )
    svg = str(plot.render()).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return svg.replace(">", f">{style}", 1) + "\n"


if __name__ == "__main__":
    main()
