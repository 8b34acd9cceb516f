"""Comparing files and arrays: every format gives the same result, joined by id."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from scipy import special

from churn_jax import compare as command
from churn_jax import metrics
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.system.commands import run_command
from tests.test_evaluate import make_workdir

WRITTEN = {*(f"report.{kind}" for kind in ("csv", "html", "json", "md", "tex")), "junit.xml"}
NAMES = ("cat", "dog", "owl")
IDS = np.array([f"x{i}" for i in range(60)])
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(60, 3)) * 2
LABELS = SHARED.argmax(1)
OLD, NEW = (
    special.softmax(SHARED + RNG.normal(size=SHARED.shape), axis=1).astype(np.float32)
    for _ in range(2)
)


def run(arguments):
    """The command's exit code."""
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: command.main([str(argument) for argument in arguments]))
    return caught.value.code


def write_csv(path, probs, order, with_labels=True):
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *(["label"] if with_labels else []), *NAMES])
        for i in order:
            label = [NAMES[LABELS[i]]] if with_labels else []
            writer.writerow([IDS[i], *label, *map(repr, probs[i].tolist())])


def write_all(folder, probs):
    """The same predictions in every format, each in another order of the examples."""
    order = RNG.permutation(60)
    arrays = {"labels": LABELS[order], "ids": IDS[order], "class_names": np.array(NAMES)}
    np.savez(folder / "plain.npz", probs=probs[order], **arrays)
    np.savez_compressed(folder / "packed.npz", logits=np.log(probs[order]) + 3, **arrays)
    encoded = np.char.encode(IDS[order]).view(np.uint8).reshape(60, -1)
    tensors = {"log_probs": np.log(probs[order]), "labels": LABELS[order], "ids": encoded}
    safetensors.numpy.save_file(
        tensors, folder / "a.safetensors", {"class_names": json.dumps(NAMES)}
    )
    write_csv(folder / "a.csv", probs, RNG.permutation(60))
    files = ["plain.npz", "packed.npz", "a.safetensors", "a.csv"]
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"id": IDS[order], "label": LABELS[order]}
    columns |= {name: probs[order, j] for j, name in enumerate(NAMES)}
    parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
    return [folder / name for name in (*files, "a.parquet")]


def test_every_format_gives_the_same_result(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    reference = None
    for old, new in zip(
        write_all(tmp_path / "old", OLD), write_all(tmp_path / "new", NEW)[::-1], strict=True
    ):
        report = compare({"old": old, "new": new}).report
        (step,) = report["between"]
        assert step["churn"]["mean"] == pytest.approx(metrics.churn(OLD, NEW))
        assert step["schurn"]["mean"] == pytest.approx(metrics.surrogate_churn(OLD, NEW), abs=1e-6)
        expected = metrics.negative_flip_rate(OLD, NEW, LABELS)
        assert step["negative_flip_rate"]["mean"] == pytest.approx(expected)
        accuracy = [group["accuracy"]["mean"] for group in report["groups"]]
        assert accuracy == [metrics.accuracy(OLD, LABELS), metrics.accuracy(NEW, LABELS)]
        reference = reference or {row["id"] for row in report["ledger"]}
        assert {row["id"] for row in report["ledger"]} == reference


def test_positions_are_used_without_ids_and_said(tmp_path):
    np.save(tmp_path / "old.npy", OLD)
    np.save(tmp_path / "new.npy", NEW)
    np.save(tmp_path / "labels.npy", LABELS)
    report = compare(
        {"old": tmp_path / "old.npy", "new": tmp_path / "new.npy"}, tmp_path / "labels.npy"
    ).report
    assert any("paired by position" in note for note in report["notes"])
    assert any("detected as probabilities" in note for note in report["notes"])
    assert report["between"][0]["churn"]["mean"] == metrics.churn(OLD, NEW)


def test_absolute_and_relative_paths_and_arrays_mix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("old.npz", probs=OLD, labels=LABELS)
    np.savez("new.npz", probs=NEW, labels=LABELS)
    report = compare({"old": tmp_path / "old.npz", "new": "new.npz", "array": NEW[::-1]}).report
    assert report["matrix"]["runs"] == [str(tmp_path / "old.npz"), "new.npz", "array[0]"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [(OLD, "probabilities"), (np.log(OLD), "log-probabilities"), (np.log(OLD) + 2.0, "logits")],
)
def test_kinds_are_detected_and_said(values, kind):
    report = compare({"old": values, "new": OLD}).report
    assert any(
        "old[0]" in note and f"values detected as {kind}" in note for note in report["notes"]
    )
    assert report["between"][0]["schurn"]["mean"] == pytest.approx(0, abs=1e-6)


def test_predicted_classes_alone(tmp_path):
    np.savez(tmp_path / "old.npz", predictions=OLD.argmax(1), labels=LABELS)
    with open(tmp_path / "new.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["prediction"], *([k] for k in NEW.argmax(1).tolist())])
    report = compare({"old": tmp_path / "old.npz", "new": tmp_path / "new.csv"}).report
    (step,) = report["between"]
    assert step["churn"]["mean"] == metrics.churn(OLD, NEW)
    assert "schurn" not in step
    assert "ece" not in report["groups"][0]
    assert step["mcnemar"]["p"] > 0


def test_names_as_predicted_classes():
    names = np.array(NAMES)
    report = compare(
        {"old": names[OLD.argmax(1)], "new": names[NEW.argmax(1)]}, names[LABELS]
    ).report
    assert report["groups"][0]["accuracy"]["mean"] == metrics.accuracy(OLD, LABELS)
    assert report["ledger"][0]["label"] in NAMES


def test_run_folders_are_groups_of_their_runs(tmp_path):
    make_workdir(tmp_path / "a")
    make_workdir(tmp_path / "b", "other", noise=0.5)
    report = compare({"a": tmp_path / "a", "b": tmp_path / "b"}).report
    assert [group["num_runs"] for group in report["groups"]] == [3, 3]
    assert report["dataset"] == "toy"
    assert report["between"][0]["excess_churn"]["covers"] == "runs and examples"


def test_slices(tmp_path):
    parts = np.where(np.arange(60) < 20, "first", "rest")
    with open(tmp_path / "slices.csv", "w", newline="") as stream:
        rows = [[IDS[i], parts[i]] for i in reversed(range(60))]
        csv.writer(stream).writerows([["id", "part"], *rows])
    for name, probs in (("old", OLD), ("new", NEW)):
        np.savez(tmp_path / f"{name}.npz", probs=probs, ids=IDS, labels=LABELS)
    files = {name: tmp_path / f"{name}.npz" for name in ("old", "new")}
    by_file = compare(files, slices=tmp_path / "slices.csv").report["slices"]
    by_array = compare(files, slices={"part": parts}).report["slices"]
    assert by_file == by_array
    first = next(part for part in by_file if part["name"] == "first")
    assert first["num_examples"] == 20
    assert first["between"][0]["churn"]["mean"] == metrics.churn(OLD[:20], NEW[:20])
    assert first["groups"][0]["ece_plain"]["mean"] == pytest.approx(
        metrics.expected_calibration_error(OLD[:20], LABELS[:20]), abs=1e-6
    )
    of_class = next(part for part in by_file if part["by"] == "class" and part["name"] == "1")
    rows = LABELS == 1
    assert of_class["between"][0]["churn"]["mean"] == metrics.churn(OLD[rows], NEW[rows])


def test_exits_of_the_result(tmp_path):
    result = compare({"old": OLD, "new": NEW}, LABELS, fail_if="churn>0.9")
    assert json.loads(result.to_json())["between"][0]["a"] == "old"
    assert result.to_html().startswith("\n<!doctype html>") or "<!doctype html>" in result.to_html()
    assert result.to_markdown().startswith("# Churn")
    record = next(r for r in result.to_records() if r["measure"] == "churn")
    assert record["of"] == "old → new"
    assert record["low"] < record["mean"] < record["high"]
    result.write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == WRITTEN


def test_infinite_losses_of_several_runs_compare(recwarn):
    impossible = OLD.copy()
    impossible[7] = np.roll([1.0, 0, 0], LABELS[7] + 1)
    groups = {"old": [impossible, NEW, OLD[:, [0, 1, 2]] * 0.9 + 0.1 / 3], "new": [impossible, NEW]}
    result = compare(groups, LABELS, fail_if="nll_new>nll_old, nll_new>9, churn>90%")
    outcomes = [verdict.outcome for verdict in result.verdicts]
    assert outcomes == ["undecided", "failed", "passed"]
    assert not recwarn.list


def test_groups_by_pattern(tmp_path, capsys):
    for group, spread in (("a", 1.0), ("b", 0.3)):
        (tmp_path / group).mkdir()
        for i in range(3):
            logits = SHARED + spread * RNG.normal(size=SHARED.shape)
            np.savez(tmp_path / group / f"{i}.npz", logits=logits, labels=LABELS)
    groups = [f"--group=old={tmp_path}/a/*.npz", f"--group=new={tmp_path}/b/*.npz"]
    assert run([*groups, "--fail_if=churn_new>churn_old"]) == 0
    assert "old (3)" in capsys.readouterr().out
    assert run([*groups, "--fail_if=churn_new<churn_old"]) == 1


def test_paths_with_commas_brackets_and_a_home(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("lr=0.1,wd=0/0.npz", "lr=0.1,wd=0/1.npz", "v[1]/0.npz", "v[1]/1.npz", "v1/2.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        probs = special.softmax(SHARED + RNG.normal(size=SHARED.shape), axis=1)
        np.savez(tmp_path / name, probs=probs, labels=LABELS)
    groups = [f"--group=a={tmp_path}/lr=0.1,wd=0/0.npz,~/lr=0.1,wd=0/1.npz", "--group=b=~/v[1]/*"]
    assert run([*groups, "--out=~/out"]) == 0
    assert "a (2)" in capsys.readouterr().out
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [group["num_runs"] for group in report["groups"]] == [2, 2]
    assert run(["~/v[1]/0.npz", "~/v1/2.npz", "--out=~/other"]) == 0
    assert run(["~/v[1]/0.npz", "~/nowhere.npz"]) == 2
    assert f"{tmp_path}/nowhere.npz: no such file" in capsys.readouterr().err


def test_a_files_name_ends_where_its_format_begins(tmp_path):
    for name in ("v1.0", "v1.1"):
        np.save(tmp_path / f"{name}.npy", OLD)
    assert run([tmp_path / "v1.0.npy", tmp_path / "v1.1.npy", f"--out={tmp_path}/out"]) == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [group["name"] for group in report["groups"]] == ["v1.0", "v1.1"]


def test_runs_given_as_models_are_hinted_at(tmp_path, capsys):
    for name in ("v1_seed0", "v1_seed1", "v2", "v3"):
        np.save(tmp_path / f"{name}.npy", OLD)
    seeds = [tmp_path / f"v1_seed{i}.npy" for i in range(2)]
    assert run(seeds) == 0
    assert f"say --group 'v1={tmp_path}/v1_seed*.npy'" in capsys.readouterr().err
    assert run([f"--group=v1={tmp_path}/v1_seed*.npy", tmp_path / "v2.npy"]) == 0
    assert run([tmp_path / "v2.npy", tmp_path / "v3.npy"]) == 0
    assert capsys.readouterr().err == ""


def test_the_command_imports_neither_jax_nor_pandas_nor_matplotlib(tmp_path):
    for name, probs in (("old", OLD), ("new", NEW)):
        np.save(tmp_path / f"{name}.npy", probs)
    code = (
        "import sys; from churn_jax import compare;"
        f"compare.main(['{tmp_path}/old.npy', '{tmp_path}/new.npy', '--out={tmp_path}/out']);"
        "assert not {'absl', 'jax', 'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_one_run_is_refused():
    with pytest.raises(UserError, match="at least 2 runs"):
        compare({"old": OLD})


def test_results_do_not_depend_on_the_block_size(monkeypatch):
    whole = compare({"old": OLD, "new": NEW}, LABELS).report
    monkeypatch.setattr("churn_jax.analysis.one_pass.BLOCK_ELEMENTS", 1)
    in_blocks = compare({"old": OLD, "new": NEW}, LABELS).report
    assert json.dumps(whole["groups"]) == json.dumps(in_blocks["groups"])
    assert whole["between"][0]["churn"] == in_blocks["between"][0]["churn"]


def test_main_measures_leave_out_the_costly_ones():
    report = compare({"old": OLD, "new": NEW}, LABELS, everything=False, alphas=(1,)).report
    assert {"accuracy", "nll", "ece", "confidence"} <= set(report["groups"][0])
    assert not {"entropy", "brier", "ece_classwise"} & set(report["groups"][0])
    assert not {"l1", "jensen_shannon", "symmetric_kl", "lemma2_bound"} & set(report["between"][0])
    assert report["between"][0]["schurn"]["mean"] > 0
