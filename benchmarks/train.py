"""Training steps a second: all runs of a study stacked in one program, beside PyTorch.

    python benchmarks/train.py --models=lenet5,resnet20,resnet56 --out=docs/benchmarks
    python benchmarks/train.py --models=resnet56 --batch=1024 --members=2   # on a GPU: bfloat16
    python benchmarks/train.py --models=lenet5 --dtype=float32              # on a GPU: as on a CPU

Forward, backward and SGD with Nesterov momentum and weight decay, on data that lies in memory, with
the same networks on both sides; `--members=2` co-distils pairs with the symmetric KL loss.
churn_jax trains all runs at once, laid out within a device as it does by itself, or as the suffix
says (`churn_jax-scan`, `-vmap`, `-unroll`: see `churn_jax.parallel.stacking`). PyTorch trains one
run after another (`torch`), or one a process, as many at once as there are cores
(`torch-processes`; on a GPU `--processes`); `-channels_last` says in which memory format,
`-compile` that `torch.compile` made the step (on a GPU in its mode that records CUDA graphs). Every
contender starts in a process of its own, takes a step that isn't counted, and is timed over several
repeats. A model-step is one step of one model."""

import argparse
import json
import multiprocessing
import os
import resource
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from churn_jax.system.memory import LARGE_PAGES

SHAPES = {"lenet5": (28, 1, 10), "resnet": (32, 3, 10), "resnet_v2": (224, 3, 1000)}
ROOT = Path(__file__).parents[1]
# The schedule of the paper's data set of such images: (config, training examples).
RECIPES = {
    "lenet5": ("svhn", 73_257),
    "resnet": ("cifar10", 50_000),
    "resnet_v2": ("imagenet", 1_281_167),
}
SUFFIXES = {
    "churn_jax": {"scan", "vmap", "unroll"},
    "torch": {"channels_last", "processes", "compile"},
}
TORCH = ("torch", "torch-channels_last", "torch-processes", "torch-processes-channels_last")


def main() -> None:
    """Runs all contenders, or is one of them."""
    options = _options()
    if options.worker:
        print(json.dumps(_contender(options)))
        return
    results = []
    for model in options.models.split(","):
        rows = [_in_process(options, model, name) for name in options.contenders.split(",")]
        results.append({"model": model, "contenders": rows, **_study(model, options, rows)})
        print(_table(results[-1]), flush=True)
    report = {**_machine(options), "batch": options.batch, "runs": options.runs,
              "members": options.members, "results": results}  # fmt: skip
    if options.out:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        name = f"train_{report['platform']}"
        name += "" if "," in options.models else f"_{options.models}"
        name += "_pairs" if options.members > 1 else ""
        Path(options.out, f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        text = f"{report['device']}; {report['versions']}\n\n"
        text += "\n\n".join(_table(result) for result in results)
        Path(options.out, f"{name}.md").write_text(text + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="lenet5,resnet20")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--members", type=int, default=1, choices=(1, 2))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="a repeat")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of accelerators")
    parser.add_argument("--contenders", default=",".join(("churn_jax", *TORCH)))
    parser.add_argument("--out", help="folder for train_PLATFORM[_MODEL][_pairs].json and .md")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for contender in options.contenders.split(","):
        name, *suffixes = contender.split("-")
        if name not in SUFFIXES or not SUFFIXES[name].issuperset(suffixes):
            parser.error(f"--contenders: {contender!r} is none of NAME[-SUFFIX…] with {SUFFIXES}")
    return options


def _in_process(options: argparse.Namespace, model: str, name: str) -> dict[str, Any]:
    same = ("batch", "runs", "members", "repeats", "steps", "processes", "dtype")
    flags = [f"--{key}={getattr(options, key)}" for key in same if getattr(options, key)]
    command = [sys.executable, __file__, f"--models={model}", f"--worker={name}", *flags]
    environment = dict(os.environ)
    if name.startswith("churn_jax"):  # as the scripts of launch/ do
        environment.setdefault(*LARGE_PAGES.split("=", 1))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        return {"name": name, "failed": True}
    return {"name": name, **json.loads(done.stdout.splitlines()[-1])}


def _contender(options: argparse.Namespace) -> dict[str, Any]:
    if options.worker.startswith("churn_jax"):
        return _ours(options)
    if "processes" not in options.worker:
        return _torch(options, threads=None)
    # Each process trains runs of its own; the slowest says how fast all of them are.
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        rows = pool.starmap(_torch, [(options, 1)] * options.processes, chunksize=1)
    slowest = max(rows, key=lambda row: row["model_step_ms"])
    memory = sum(row["peak_gib"] for row in rows)
    return {**slowest, "model_step_ms": slowest["model_step_ms"] / options.processes,
            "peak_gib": memory}  # fmt: skip


def _torch(options: argparse.Namespace, threads: int | None) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parent))
    from torch_training import make_step

    data = _data(options, *_shape(options.models))
    step, peak_gib = make_step(
        options.models, *data, options.batch, options.members, options.worker, threads,
        options.dtype or "bfloat16",
    )  # fmt: skip
    result = _time(step, options, options.members)
    return result | {"peak_gib": peak_gib() or result["peak_gib"]}


def _time(step: Callable[[], None], options: argparse.Namespace, models: int) -> dict[str, Any]:
    """Medians over repeats; `step` must wait for its result. The first call compiles."""
    began = time.perf_counter()
    step()
    first = time.perf_counter() - began
    repeats = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        for _ in range(options.steps):
            step()
        repeats.append((time.perf_counter() - began) / options.steps)
    median = statistics.median(repeats)
    return {
        "model_step_ms": 1e3 * median / models,
        "repeats_ms": [1e3 * seconds / models for seconds in repeats],
        "first_step_s": first,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _ours(options: argparse.Namespace) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    from churn_jax import config as config_lib
    from churn_jax.data import DatasetInfo
    from churn_jax.data.resident import ResidentSource
    from churn_jax.methods import catalogue
    from churn_jax.parallel import sharding, stacking
    from churn_jax.training import devices
    from churn_jax.training.experiment import Experiment

    size, channels, classes = _shape(options.models)
    settings = config_lib.default()
    settings.update(runs=options.runs, batch_size=options.batch, epochs=1000.0)
    settings.model.name = options.models
    settings.data.update(name=_recipe(options.models)[0], crop="none", flip=False)
    if options.members > 1:
        pair = catalogue.method("codistill_skl", {"beta": 0.01}, 1000.0)
        settings.method.update(config_lib.to_dict(pair))
    devices.start_devices(config_lib.check(settings))
    if jax.default_backend() != "cpu":
        settings.model.dtype = options.dtype or "bfloat16"
    if asked := options.worker.partition("-")[2]:
        stacking.BY_PLATFORM[jax.default_backend()] = asked
        stacking.OF_PRODUCTS.clear()
    config = config_lib.check(settings)
    names = tuple(map(str, range(classes)))
    info = DatasetInfo(
        "synthetic", names, (size, size, channels), (0.5,) * channels, (0.25,) * channels
    )
    images, labels = _data(options, size, channels, classes)
    experiment = Experiment(config, info, len(labels), sharding.make_mesh(config))
    zero, runs = jnp.zeros((), jnp.int32), jnp.asarray(experiment.runs)
    order = experiment.order_window(runs, zero)
    source = ResidentSource(
        jnp.asarray(images), jnp.asarray(labels, jnp.int32), runs, order, zero, zero, zero
    )
    state = experiment.init_state()

    def step() -> None:
        nonlocal state
        state, metrics = experiment.resident_step(state, source)
        jax.block_until_ready((state, metrics))

    result = _time(step, options, options.runs * options.members)
    stats = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        result["peak_gib"] = stats["peak_bytes_in_use"] / 2**30
    return result


def _family(model: str) -> str:
    return "resnet_v2" if model.startswith("resnet_v2") else model.rstrip("0123456789") or model


def _recipe(model: str) -> tuple[str, int]:
    return RECIPES[model if model in RECIPES else _family(model)]


def _shape(model: str) -> tuple[int, int, int]:
    """(side, channels, classes) of the images a model is timed on."""
    return SHAPES[model if model in SHAPES else _family(model)]


def _data(options: argparse.Namespace, size: int, channels: int, classes: int) -> Any:
    """Examples for every step that is taken: uint8 images [example, H, W, C] and their labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    count = options.batch * (1 + options.repeats * options.steps)
    images = rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    return images, rng.integers(0, classes, count)


def _study(model: str, options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios to PyTorch's best, and the hours of all runs by the schedule of the model's recipe."""
    recipe, examples = _recipe(model)
    get_config = runpy.run_path(str(ROOT / "configs" / f"{recipe}.py"))["get_config"]
    epochs = get_config("baseline").epochs
    steps = epochs * examples / options.batch
    for row in rows:
        if "failed" not in row:
            seconds = steps * options.runs * options.members * row["model_step_ms"] / 1e3
            row["model_examples_per_second"] = 1e3 * options.batch / row["model_step_ms"]
            row["study_hours"] = (seconds + row["first_step_s"]) / 3600
    done = [row for row in rows if "failed" not in row]
    peers = [row["model_step_ms"] for row in done if row["name"].startswith("torch")]
    ours = [row["model_step_ms"] for row in done if row["name"] == "churn_jax"]
    ratio = ours[0] / min(peers) if ours and peers else None
    return {
        "ratio": ratio,
        "study": f"{options.runs} runs × {options.members} members, {recipe}, {epochs:g} epochs",
    }


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"### {result['model']}",
        "",
        "| contender | ms a model-step | model-examples/s | first step, s | peak GiB "
        f"| hours: {result['study']} |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["contenders"]:
        if "failed" in row:
            lines.append(f"| {row['name']} | failed | | | | |")
            continue
        lines.append(
            f"| {row['name']} | {row['model_step_ms']:.2f} | "
            f"{row['model_examples_per_second']:.0f} | {row['first_step_s']:.1f} | "
            f"{row['peak_gib']:.2f} | {row['study_hours']:.1f} |"
        )
    if result["ratio"]:
        lines += ["", f"churn_jax's time a model-step over PyTorch's best: {result['ratio']:.2f}"]
    return "\n".join(lines)


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    import jax

    from churn_jax.system import processor

    device = jax.devices()[0]
    names = ("jax", "jaxlib", "torch")
    kind = device.device_kind if device.platform != "cpu" else processor.name()
    return {
        "platform": device.platform,
        "device": f"{kind}, {options.processes} cores used",
        "versions": ", ".join(f"{name} {version(name)}" for name in names),
    }


if __name__ == "__main__":
    main()
