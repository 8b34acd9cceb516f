"""Studies: planning, running, sharing and showing; cells are trained by a stand-in but for one."""

import dataclasses
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from churn_jax import study
from churn_jax.errors import UserError
from churn_jax.report.estimates import Contrast, Estimate
from churn_jax.studies import output, results, running, tables
from churn_jax.studies.design import Cell, Study, restrict
from churn_jax.studies.study_report import StudyReport
from tests.fixtures.experiments import ROOT
from tests.fixtures.studies import STUDIES, make, stand_in, two_cells, write

NAMES = sorted(path.stem for path in STUDIES.glob("*.py"))
CHAOS = ("held", "one_ulp")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dataset", ["digits", "fashion_mnist", "cifar10", "imagenet", "svhn"])
def test_every_study_plans_every_data_set(name, dataset, tmp_path):
    found, plans, _ = make(name, tmp_path, dataset=dataset)
    names = [plan.cell.name for plan in plans]
    assert len(set(names)) == len(names)
    chosen = {selection.method for selection in found.selections}
    assert set(results.shown_cells(found)) <= {*names, *chosen}
    assert len(study.describe(found, plans).splitlines()) == 1 + max(len(plans), 1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_every_study_writes_its_tables_and_figures(name, tmp_path):
    grid = {"alpha": (0.1, 0.2), "beta": (0.5, 1.0)}
    text = write(name, tmp_path, grid=grid)
    found, _, _ = make(name, tmp_path, grid=grid)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"study.md", "study.html"} <= written
    for table in found.tables:
        assert f"{table.name}.csv" in written
        assert table.title in text
    assert all(len(line) <= 120 for line in text.splitlines() if line.startswith("─"))
    for figure in found.figures:
        assert {f"{figure.name}.svg", f"{figure.name}.png"} <= written


def test_table_2_has_all_methods_beside_the_published(tmp_path):
    write("table2", tmp_path, dataset="cifar10")
    whole = (tmp_path / "out/study.html").read_text()
    for part in ("prefers-color-scheme: dark", 'id="made"', "To cite:", '<th scope="row">'):
        assert part in whole
    page = (tmp_path / "out/study.md").read_text()
    table = page.split("### Table 2")[1].split("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [
        "baseline", "entropy", "skl", "ensemble_distill", "codistill_ce", "codistill_skl",
        "codistill_skl_entropy", "ensemble",
    ]  # fmt: skip
    assert "| baseline | 1× | 1× |" in table
    assert "| ensemble_distill | 3× | 1× |" in table
    assert "| ensemble | 2× | 2× |" in table
    assert "5.72 ± 0.18" in table  # the paper's baseline churn
    hyperparameters = page.split("### Table 5")[1]
    assert "| entropy | 0.15 | 0.15 |" in hyperparameters


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("table1", "remove_augmentation-identical_order-identical_init"),
        ("table6", "identical_init-identical_data"),
    ],
)
def test_with_everything_held_churn_is_zero_and_the_note_says_where_it_is_not(name, held, tmp_path):
    text = write(name, tmp_path)
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    assert report.group(held).measures["churn"].mean == 0
    assert report.group("nothing_held").measures["churn"].mean > 0
    assert "GPU" in text
    assert "TPU" in text


def test_a_second_call_trains_nothing_and_writes_the_same(tmp_path):
    first = write("table2", tmp_path)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def refuse(config, folder):
        raise AssertionError("a finished cell was trained again")

    found, plans, _ = make("table2", tmp_path)
    running.finish(plans, refuse)
    _, report = results.report(found, plans)
    assert output.write(found, report, "command", [], tmp_path / "out") == first
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_studies_of_one_workdir_share_their_cells(tmp_path):
    write("table2", tmp_path)
    _, plans, _ = make("table3", tmp_path)
    finished = {plan.cell.name for plan in plans if plan.finished}
    assert finished == {
        f"{m}-decay-0.0001" for m in ("baseline", "entropy", "skl", "codistill_skl")
    }


def test_teachers_come_first_and_teach_one_student_each(tmp_path):
    trained = []

    def note(config, folder):
        trained.append(folder)
        stand_in(config, folder)

    _, plans, _ = make("table2", tmp_path)
    by_name = {plan.cell.name: plan for plan in plans}
    student = by_name["ensemble_distill"]
    assert [teacher.cell.name for teacher in student.teachers] == ["baseline", "baseline_more"]
    assert student.config.method.teachers.split(",") == [str(t.folder) for t in student.teachers]
    assert sum(teacher.config.runs for teacher in student.teachers) == 2 * student.config.runs
    running.finish([student, *student.teachers], note)
    assert trained[-1] == student.folder


def test_missing_teachers_name_the_cells_that_make_them(tmp_path):
    _, plans, _ = make("table2", tmp_path)
    (student,) = (plan for plan in plans if plan.teachers)
    with pytest.raises(UserError, match=r"--cell=baseline` and `--cell=baseline_more"):
        running.finish([student], stand_in)


def slowly(config, folder):
    """Takes long enough for another process to come by, and notes each training."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "trained.txt").open("a") as file:
        file.write(f"{folder.name}\n")
    time.sleep(0.3)
    stand_in(config, folder)


def finish_slowly(workdir):
    _, plans, _ = make("table6", workdir)
    running.POLL_SECONDS = 0.05
    running.finish(plans, slowly)


def test_two_processes_train_every_cell_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=finish_slowly, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    trained = (tmp_path / "cells/trained.txt").read_text().split()
    assert len(trained) == len(set(trained)) == 4


def test_bold_is_the_best_and_what_ties_with_it(tmp_path):
    found, _, _ = make("table2", tmp_path)
    table = dataclasses.replace(found.tables[0], measures=("churn",), rows=found.tables[0].rows[:3])
    names = [row.cell for row in table.rows]
    groups = [
        SimpleNamespace(name=name, measures={"churn": Estimate(mean, (0, 1))}, never_learned=())
        for name, mean in zip(names, (0.06, 0.05, 0.04), strict=True)
    ]
    contrasts = [
        Contrast(names[0], names[2], "churn", -0.02, (-0.03, -0.01), 0.001, "examples", 0.01),
        Contrast(names[1], names[2], "churn", -0.01, (-0.02, 0.005), 0.2, "examples", 0.4),
    ]
    report = StudyReport(
        dataset="", split="", num_examples=0, study="", title="",
        groups=tuple(groups), contrasts=tuple(contrasts),
    )  # fmt: skip
    assert tables.best_rows(table, "churn", report) == {names[1], names[2]}


def test_coefficients_are_chosen_by_test_churn_and_by_validation_churn(tmp_path):
    grid = {"alpha": (0.1, 0.2, 0.3), "beta": (1.0,)}
    overrides = {"data.num_validation": 50}
    write("figure1", tmp_path, grid=grid, overrides=overrides)
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    rules = {"test churn, as the paper", "validation churn"}
    for method in ("entropy", "skl", "codistill_ce", "codistill_skl"):
        choices = [choice for choice in report.selections if choice.method == method]
        assert {choice.rule for choice in choices} == rules
    paper = next(c for c in report.selections if c.rule == "test churn, as the paper")
    candidates = [f"{paper.method}_alpha_{value:g}" for value in grid["alpha"]]
    churns = [report.group(cell).measures["churn"].mean for cell in candidates]
    assert paper.churn_it_was_chosen_by == min(churns)


def test_options_shrink_a_study(tmp_path):
    _, plans, options = make("table2", tmp_path, epochs=3.0, overrides={"model.name": "resnet8"})
    for plan in plans:
        assert (plan.config.epochs, plan.config.runs) == (3.0, 3)
        assert plan.config.model.name == "resnet8"
        assert plan.config.checkpoint_every > 0
    pair = plans[-2].config
    assert pair.method.beta_ramp_epochs == pytest.approx(0.3 * 3)
    said = " ".join(study.shrunk(plans, options))
    assert "3 runs" in said
    assert "3 epochs" in said
    assert "resnet8" in said


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--study=configs/studies/tabel2.py"], "did you mean 'table2'"),
        (["--study=configs/studies/table2.py", "--cell=basline"], "did you mean 'baseline'"),
        (["--study=configs/studies/table2.py", "--cell=nosuchcell"], "its cells are baseline, "),
        (["--study=configs/studies/table2.py", "--dataset=digit"], "did you mean 'digits'"),
        (["--study=configs/studies/table2.py", "--runs=1"], "at least 2"),
        (["--study=configs/studies/table2.py", "--epochs=0"], "not positive"),
        (["--study=configs/studies/figure1.py", "--grid=gamma=1"], "--grid=gamma=1: 'gamma'"),
        (["--study=configs/studies/figure1.py", "--grid=beta=x"], "'x' are not numbers"),
        (["--study=configs/studies/figure1.py", "--grid=alpha=1.0"], r"outside \[0, 1\)"),
        (
            ["--study=configs/studies/figure1.py", "--grid=beta=-1"],
            r"beta: -1\.0 is outside \[0, …\]",
        ),
        (["--study=configs/studies/table2.py", "--config.modle.name=x"], "did you mean 'model'"),
        (["--study=configs/studies/table2.py", "--config.method.temperature=0"], "not positive"),
        (["--study=configs/studies/table2.py", "--what"], "--what"),
        ([], "--study"),
    ],
)
def test_bad_input_is_one_line(arguments, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=fault):
        study.main([*arguments, f"--workdir={tmp_path}"])
    assert not any(tmp_path.iterdir())


def test_a_study_without_cells_needs_no_training(tmp_path):
    found, plans, _ = make("figure4", tmp_path)
    assert plans == []
    assert isinstance(found, Study)
    assert results.report(found, plans)[1].groups == ()


def test_the_divergence_table_says_when_weights_part_and_how_far(tmp_path):
    text = write("determinism", tmp_path)
    page = (tmp_path / "out/study.md").read_text()
    rows = page.split("### How far the weights part")[1].splitlines()
    held, one_ulp = (next(row for row in rows if row.startswith(f"| {c}")) for c in CHAOS)
    assert held.startswith("| held | never | never | 0 | 0 | 0 |")
    assert one_ulp.startswith("| one_ulp | 0 | 2 | 1e-09 | 0.5 | 0.5 |")
    assert "Warning: held: no random stream differs" in text
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    assert report.divergence[0].parted == (None, None)


def test_sources_are_parts_of_the_churn_with_all_of_them(tmp_path):
    text = write("sources", tmp_path)
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    everything = "init+order+augmentation+sample"
    churns = {group.name: group.measures["churn"].mean for group in report.groups}
    assert len(churns) == 15
    for name, churn in churns.items():
        found = report.share(name, everything).mean
        np.testing.assert_allclose(found, churn / churns[everything], rtol=1e-5)
    assert "What makes accuracy vary" in text
    for spread in report.accuracy_spreads:
        accuracy = report.group(spread.cell).measures["accuracy"]
        np.testing.assert_allclose(spread.over_runs**0.5, accuracy.spread.std)


@pytest.mark.parametrize("name", ["table2", "figure1", "figure2", "sources", "stability"])
def test_what_is_finished_can_be_shown_before_the_rest(name, tmp_path):
    found, plans, _ = make(name, tmp_path, grid={"alpha": (0.1, 0.2), "beta": (1.0,)})
    running.finish(plans[:3], stand_in)
    finished = [plan.cell.name for plan in plans[:3]]
    shown = restrict(found, finished)
    assert set(results.shown_cells(shown)) == set(finished)
    text = output.write(*results.report(shown, plans), "command", [], tmp_path / "out")
    assert f"Not finished, and so not shown: {plans[3].cell.name}" in text


@pytest.mark.parametrize("name", ["figure1", "sources", "stability"])
def test_of_a_finished_study_everything_is_shown(name, tmp_path):
    found, plans, _ = make(name, tmp_path)
    assert restrict(found, [plan.cell.name for plan in plans]) == found


def test_trainings_whose_lengths_differ_by_design_are_no_warning(tmp_path):
    write("stability", tmp_path)
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    assert {group.settings.training_cost for group in report.groups} == {1, 2}
    assert not [warning for warning in report.warnings if "step" in warning]


def test_unknown_cells_list_the_known():
    with pytest.raises(UserError, match="its cells are a, b"):
        Study("s", "t", (Cell("a", "baseline", 2), Cell("b", "baseline", 2))).cell("zz")


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_compile")
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path):
    file = two_cells(tmp_path)

    def start(workdir):
        command = [
            *(sys.executable, "-m", "churn_jax.study", f"--study={file}"),
            *("--epochs=10", "--config.data.num_train=64", f"--workdir={workdir}"),
        ]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait() == 0
    for pattern in ("cells/baseline-*/checkpoints/[1-9]*", "cells/entropy-*/checkpoints/[1-9]*"):
        process = start(killed)
        while not list(killed.glob(pattern)):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
    assert start(killed).wait() == 0
    files = [path.relative_to(whole) for path in whole.glob("cells/*/predictions/**/*.safetensors")]
    assert len(files) == 4
    for file in [*files, Path("studies/two_digits/two.csv")]:
        assert (whole / file).read_bytes() == (killed / file).read_bytes()
