"""Writes a trained model so that it runs without this package, wherever JAX does.

    python -m churn_jax.export W --run=0 --out=DIR [--step=N] [--prediction=mean]

    DIR/weights.safetensors   every array by its name
    DIR/model.jax_export      (weights, inputs) to log-probabilities, for `jax.export.deserialize`;
                              any number of inputs, on CPU, CUDA or TPU
    DIR/model.json            classes, type and shape of the inputs, where the weights come from
    DIR/README.md             a model card, and the lines that run it

Inputs go in as the data set has them; they are normalised inside.
"""

from churn_jax.system import command_lines, startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    command_lines.export(__doc__).help_if_asked()
    startup.start(checkpoints=True)

import json
from collections.abc import Callable, Sequence
from typing import Any

from etils import epath

from churn_jax.storage.files import out_folder, write_atomically

WEIGHTS, PROGRAM, FACTS, CARD = "weights.safetensors", "model.jax_export", "model.json", "README.md"
PLATFORMS = ("cpu", "cuda", "tpu")


def export(
    workdir: epath.PathLike,
    out: epath.PathLike,
    run: int = 0,
    *,
    step: int | None = None,
    prediction: str | None = None,
    views: str | None = None,
) -> None:
    """Writes one run of a training into the folder `out`; arguments as of `churn_jax.load`.

    Raises:
      UserError: there is no such run, checkpoint, prediction or view, or `out` can't be written.
    """
    from safetensors.numpy import save

    from churn_jax import trained

    out = out_folder(out, "--out")
    model = trained.load(workdir, run, step=step, prediction=prediction, views=views)
    weights = named(model.variables)
    facts = _facts(model, epath.Path(workdir), run, prediction)
    write_atomically(out / WEIGHTS, save(weights, {"format": "np"}))
    write_atomically(out / PROGRAM, program(model, weights))
    write_atomically(out / FACTS, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    write_atomically(out / CARD, card(facts, weights))


def named(variables: Sequence[Any]) -> dict[str, Any]:
    """Every array by its path, as `params.dense_0.kernel`; of several networks `1.params.…`."""
    import jax

    tree = variables[0] if len(variables) == 1 else list(variables)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def program(model: Any, weights: dict[str, Any]) -> bytes:
    """The serialised function of (weights by name, inputs) to log-probabilities."""
    import jax
    from jax import export as jax_export

    leaves, structure = jax.tree.flatten(model.variables)
    names, exact = list(weights), model.config.model.dtype == "float32"

    def log_probs(weights: dict[str, jax.Array], inputs: jax.Array) -> jax.Array:
        variables = jax.tree.unflatten(structure, [weights[name] for name in names])
        with jax.default_matmul_precision("highest" if exact else None):
            return jax.nn.log_softmax(model.function(variables, inputs))

    (examples,) = jax_export.symbolic_shape("examples")
    info = model.info
    inputs = jax.ShapeDtypeStruct((examples, *info.image_shape), info.dtype)
    shapes = {name: jax.ShapeDtypeStruct(w.shape, w.dtype) for name, w in weights.items()}
    assert len(leaves) == len(names)
    exporter: Callable[..., Any] = jax_export.export(jax.jit(log_probs), platforms=PLATFORMS)
    return bytes(exporter(shapes, inputs).serialize())


def _facts(model: Any, workdir: epath.Path, run: int, prediction: str | None) -> dict[str, Any]:
    """What a user of the model has to know, as plain JSON."""
    from churn_jax import config as config_lib
    from churn_jax.training import provenance

    config, info = model.config, model.info
    facts = {
        "network": config.model.name,
        "method": config.method.label,
        "prediction": prediction or config.method.prediction,
        "views": model.views,
        "networks": len(model.variables),
        "run": run,
        "step": model.step,
        "dataset": info.name,
        "input": {"dtype": info.dtype, "shape": list(info.image_shape)},
        "class_names": list(info.class_names),
        "exported_by": f"churn_jax {provenance.code_version()}",
        "config_hash": config_lib.config_hash(config),
        "config": config_lib.to_dict(config),
    }
    method = config.method
    own = (facts["prediction"], model.views) == (method.prediction, method.views)
    return facts | (_measured(workdir, run, model.step) if own else {})


def _measured(workdir: epath.Path, run: int, step: int) -> dict[str, Any]:
    """Accuracy of this run, and churn of all of them, where predictions and report are there."""
    from churn_jax.predictions import prediction_file

    found: dict[str, Any] = {}
    file = prediction_file.step_dir(workdir, step) / prediction_file.file_name(run)
    if file.exists():
        predictions = prediction_file.read(file)
        right = predictions.counted().argmax(-1) == predictions.labels
        found["accuracy"] = float(right.mean())
        found["test_examples"] = len(right)
        found["trained_by"] = f"churn_jax {predictions.provenance.get('code_version', '')}".strip()
    report = workdir / "report.json"
    if report.exists():
        groups = json.loads(report.read_text())["groups"]
        if len(groups) == 1 and "churn" in groups[0]:
            churn = {key: groups[0]["churn"].get(key) for key in ("mean", "ci95")}
            found["churn"] = churn | {"runs": groups[0]["num_runs"]}
    return found


def card(facts: dict[str, Any], weights: dict[str, Any]) -> str:
    """The model card, as Markdown."""
    classes, count = facts["class_names"], sum(int(w.size) for w in weights.values())
    shape = ", ".join(map(str, facts["input"]["shape"]))
    several = f", the mean of {facts['networks']} networks" if facts["networks"] > 1 else ""
    if facts["views"] != "one":
        several += f", the mean over views ({facts['views']}) of each picture"
    lines = [
        f"# {facts['network']} on {facts['dataset']}",
        "",
        f"- Data: {facts['dataset']}; {len(classes)} classes: "
        + ", ".join(classes[:20])
        + (" …" if len(classes) > 20 else ""),
        f"- Inputs: {facts['input']['dtype']} [example, {shape}], as the data set has them",
        f"- Method: {facts['method']}, prediction {facts['prediction']!r}{several}; run "
        f"{facts['run']}, step {facts['step']}",
        f"- Weights: {count:,} numbers in {len(weights)} arrays",
    ]
    if "accuracy" in facts:
        tested = f"on {facts['test_examples']:,} test examples"
        lines.append(f"- Accuracy: {facts['accuracy']:.2%} {tested}")
    if "churn" in facts:
        churn = facts["churn"]
        interval = "[{:.2%}, {:.2%}]".format(*churn["ci95"]) if churn["ci95"] else ""
        lines.append(
            f"- Churn: {churn['mean']:.2%} {interval} between {churn['runs']} such trainings (95 % "
            "interval): so many examples would another one decide otherwise"
        )
    if "trained_by" in facts:
        lines.append(f"- Trained by {facts['trained_by']}")
    lines += [
        f"- Exported by {facts['exported_by']}; the whole config is in {FACTS}",
        "",
        "```python",
        "import jax.export",
        "from safetensors.numpy import load_file",
        "",
        f'program = jax.export.deserialize(open("{PROGRAM}", "rb").read())',
        f'log_probabilities = program.call(load_file("{WEIGHTS}"), inputs)  # [example, class]',
        "```",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    asked = command_lines.export(__doc__).parse_args(arguments)
    export(
        asked.workdir,
        asked.out,
        asked.run,
        step=asked.step,
        prediction=asked.prediction,
        views=asked.views,
    )
    print(f"Model: {epath.Path(asked.out) / CARD}")


if __name__ == "__main__":
    run_command(main)
