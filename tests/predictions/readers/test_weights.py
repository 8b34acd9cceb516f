"""Weights of examples: a column of the files or a file of their own, joined by id, or a refusal."""

import json

import numpy as np
import pytest

from churn_jax import compare as command
from churn_jax.analysis.comparison import compare
from churn_jax.predictions import prediction_file
from churn_jax.system.commands import run_command
from tests.predictions.readers.exports import (
    IDS,
    LABELS,
    NEW,
    NEW_PROBS,
    OLD,
    OLD_PROBS,
    N,
    found,
    notes,
    refused,
    report,
    table,
    write,
)
from tests.test_evaluate import EXAMPLES, make_workdir

WEIGHTS = np.random.default_rng(3).integers(1, 9, N) / 4
ORDER = np.random.default_rng(4).permutation(N)


def weighted(weights=WEIGHTS, rows=slice(None)):
    old, new = OLD.argmax(1), NEW.argmax(1)
    pairs = (old != new, old == LABELS, new == LABELS)
    return pytest.approx([np.average(x[rows], weights=weights[rows]) for x in pairs], abs=1e-9)


def files(tmp_path, old=WEIGHTS, new=WEIGHTS, name="w"):
    """Two tables of probabilities, the second in another order; None leaves the weights out."""
    tables = [table(OLD_PROBS), table(NEW_PROBS, order=ORDER)]
    for columns, weights, order in zip(tables, (old, new), (slice(None), ORDER), strict=True):
        if weights is not None:
            columns[name] = np.asarray(weights)[order]
    return [write(tmp_path / f"{name}.csv", columns)
            for name, columns in zip(("old", "new"), tables, strict=True)]  # fmt: skip


def test_a_column_of_tables(tmp_path):
    paths = files(tmp_path)
    assert found(*paths, weights="w") == weighted()
    assert "weights from 'w'" in notes(*paths, weights="w")
    assert "(the column 'w')" in notes(*paths, weights="w")
    assert found(*files(tmp_path, name="Sample Weight"), weights="sample_weight") == weighted()


def test_an_array_of_archives_dictionaries_and_records(tmp_path):
    given = [
        {"probs": OLD_PROBS, "labels": LABELS, "ids": IDS, "weights": WEIGHTS},
        {"probs": NEW_PROBS[ORDER], "labels": LABELS[ORDER], "ids": np.array(IDS)[ORDER]}
        | {"weights": WEIGHTS[ORDER]},
    ]
    assert found(*given, weights="weights") == weighted()
    for name, arrays in zip("ab", given, strict=True):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    assert found(tmp_path / "a.npz", tmp_path / "b.npz", weights="weights") == weighted()
    for name, values in (("old", OLD), ("new", NEW)):
        rows = zip(IDS, values.argmax(1).tolist(), LABELS.tolist(), WEIGHTS.tolist(), strict=True)
        lines = [json.dumps(dict(zip(("id", "prediction", "label", "w"), row, strict=True)))
                 for row in rows]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    assert found(tmp_path / "old.jsonl", tmp_path / "new.jsonl", weights="w") == weighted()


def test_a_file_of_their_own(tmp_path):
    paths = files(tmp_path, None, None)
    more = {"id": [*np.array(IDS)[ORDER], "another"], "weight": [*WEIGHTS[ORDER], 3]}
    for given in (
        write(tmp_path / "weights.csv", more),
        write(tmp_path / "lone.csv", {"id": more["id"], "anything": more["weight"]}),
        write(tmp_path / "rows.csv", {"weight": WEIGHTS}),
        more,
    ):
        assert found(*paths, weights=given) == weighted()
    np.save(tmp_path / "weights.npy", WEIGHTS)
    np.savez(tmp_path / "weights.npz", ids=more["id"], sample_weight=more["weight"])
    for given in (tmp_path / "weights.npy", str(tmp_path / "weights.npz"), WEIGHTS.tolist()):
        assert found(*paths, weights=given) == weighted()
    assert f"({tmp_path / 'weights.npy'})" in notes(*paths, weights=tmp_path / "weights.npy")
    in_all = [{"probs": probs, "labels": LABELS} for probs in (OLD_PROBS, NEW_PROBS)]
    assert found(*in_all, weights=WEIGHTS) == weighted()


def test_run_folders_take_a_file(tmp_path):
    folders = [make_workdir(tmp_path / name, name, runs=2) for name in ("a", "b")]
    weights = np.random.default_rng(5).random(EXAMPLES)
    ids = [f"{i:04d}" for i in range(EXAMPLES)]
    given = write(tmp_path / "w.csv", {"id": ids[::-1], "weight": weights[::-1]})
    result = compare(*map(str, folders), weights=given).report
    runs = [prediction_file.read(path) for path in prediction_file.run_files(folders[0], 10)]
    right = [np.average(run.log_probs[0].argmax(1) == run.labels, weights=weights) for run in runs]
    assert result["groups"][0]["accuracy"]["mean"] == pytest.approx(np.mean(right), abs=1e-9)
    line = refused(*map(str, folders), weights="weight")
    assert "has no columns, so none of weights: give a file of them" in line


def test_labels_and_weights_may_both_have_files(tmp_path):
    paths = [write(tmp_path / f"{name}.csv", {"id": IDS, "prediction": values.argmax(1)})
             for name, values in (("old", OLD), ("new", NEW))]  # fmt: skip
    labels = write(tmp_path / "labels.csv", {"id": IDS[::-1], "label": LABELS[::-1]})
    weights = write(tmp_path / "w.csv", {"id": np.array(IDS)[ORDER], "w": WEIGHTS[ORDER]})
    assert found(*paths, labels, weights=weights) == weighted()


def test_examples_of_weight_0_are_left_out_whatever_else_is_given(tmp_path):
    weights = np.where(np.arange(N) % 3, WEIGHTS, 0)
    rows = np.flatnonzero(weights)
    parts = np.where(np.arange(N) < 40, "first", "rest")
    slices = write(tmp_path / "slices.csv", {"part": parts})
    for given in (slices, {"part": parts}):
        result = report(*files(tmp_path, weights, weights), weights="w", slices=given)
        found_ = {part["name"]: part for part in result["slices"]}["first"]
        own = rows[rows < 40]
        assert found_["num_examples"] == len(own) == 26
        differ = np.average((OLD.argmax(1) != NEW.argmax(1))[own], weights=weights[own])
        assert found_["between"][0]["churn"]["mean"] == pytest.approx(differ, abs=1e-9)
    assert found(*files(tmp_path, weights, weights), weights="w") == weighted(weights, rows)
    assert "Of weight 0, and left out: 30 of 90 examples." in result["notes"]


def test_a_missing_weight_is_refused_or_dropped(tmp_path):
    weights = WEIGHTS.astype(object)
    weights[4] = ""
    paths = files(tmp_path, WEIGHTS, weights)
    assert "new.csv: example 'img004' has no weight" in refused(*paths, weights="w")
    rows = np.delete(np.arange(N), 4)
    assert found(*paths, weights="w", missing="drop") == weighted(rows=rows)
    gap = np.where(np.arange(N) == 7, np.nan, WEIGHTS)
    assert "weights: example 7 has no weight" in refused(*files(tmp_path), weights=gap)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({3: -1.0}, "old.csv: the weight of example 'img003' is negative (-1)"),
        ({3: "inf", 5: "inf"}, "the weight of example 'img003' is infinite, as are 1 others"),
        ({3: "heavy"}, "column 'w', example 3: 'heavy' is no number"),
        (dict.fromkeys(range(N), "heavy"), "the weight of example 'img000' is 'heavy', no number"),
        (dict.fromkeys(range(N), 0), "old.csv: all weights are 0, so no example counts"),
    ],
)
def test_weights_that_are_none_are_refused(change, why, tmp_path):
    weights = WEIGHTS.astype(object)
    weights[list(change)] = list(change.values())
    assert why in refused(*files(tmp_path, weights, weights), weights="w")


def test_what_does_not_fit_is_refused(tmp_path):
    assert "has no column 'wigth' (--weights) (did you mean" in refused(
        *files(tmp_path, name="width"), weights="wigth"
    )
    one = files(tmp_path, WEIGHTS, None)
    assert "new.csv: has no column 'w' (--weights)" in refused(*one, weights="w")
    other = np.where(np.arange(N) == 8, 9.5, WEIGHTS)
    assert (
        f"new.csv: the weight of 'img008' is 9.5, and {WEIGHTS[8]:g} in {tmp_path}/old.csv; they "
        "differ in 1 of 90 examples"
    ) in refused(*files(tmp_path, WEIGHTS, other), weights="w")
    paths = files(tmp_path)
    assert "say what it is by --id, --label, --prediction or --weights" in refused(*paths)
    for weights, why in [
        ("label", "the column 'label' can't be of weights and something else"),
        ("w.pkl", "has no column 'w.pkl' (--weights)"),
    ]:
        assert why in refused(*paths, weights=weights, label="label"), why
    paths = files(tmp_path, None, None)
    for weights, why in [
        (WEIGHTS[:-1], "weights: has 89 weights for 90 examples"),
        (np.ones((N, 2)), "weights: weights must be [example], not [90, 2]"),
        ([], "weights: has no weights (an array, or a table"),
        (tmp_path / "none.csv", "none.csv: no such file"),
        (write(tmp_path / "two.csv", {"id": IDS, "a": WEIGHTS, "b": WEIGHTS}),
         "two.csv: has no column called weight (it has id, a, b)"),
        (write(tmp_path / "few.csv", {"id": IDS[1:], "w": WEIGHTS[1:]}),
         "few.csv: lacks the example 'img000'"),
        (write(tmp_path / "again.csv", {"id": [*IDS, IDS[0]], "w": [*WEIGHTS, 1]}),
         "again.csv: the id 'img000' is there twice"),
        (write(tmp_path / "both.csv", {"id": IDS, "w": WEIGHTS, "weight": WEIGHTS}),
         "both.csv: has w and weight"),
    ]:  # fmt: skip
        assert why in refused(*paths, weights=weights), why
    arrays = OLD_PROBS, NEW_PROBS
    line = refused(*arrays, weights="w")
    assert "old[0]: has no columns, so none of weights: give a file of them (--weights=w)" in line


def test_the_command_takes_both_and_overwrites_neither(tmp_path, capsys):
    paths = [str(path) for path in files(tmp_path)]
    assert command.main([*paths, "--weights=w", "--pass_if=churn<99%"]) == 0
    assert "by weight (the column 'w'): 90" in " ".join(capsys.readouterr().out.split())
    out = tmp_path / "out"
    out.mkdir()
    given = write(out / "report.csv", {"id": IDS, "weight": WEIGHTS})
    with pytest.raises(SystemExit):
        run_command(lambda: command.main([*paths, f"--weights={given}", f"--out={out}"]))
    assert given.exists()
    assert capsys.readouterr().err.count("\n") == 1
