"""The files of a study, and tables that come with a figure."""

import json

import numpy as np
import pytest

from churn_jax.storage.checksums import sealed
from churn_jax.studies import output, results, running
from churn_jax.studies.study_report import StudyReport
from tests.test_study import make, stand_in, write


def test_figures_as_pdf_are_there_where_they_are_asked_for(tmp_path):
    found, plans, _ = make("figure5", tmp_path)
    files = []
    for pdf in (True, True, False):
        output.write(*results.report(found, plans), "command", [], tmp_path, pdf=pdf)
        files.append({path.name: path.read_bytes() for path in tmp_path.glob("*.pdf")})
    names = {f"{figure.name}.pdf" for figure in found.figures}
    assert files[0].keys() == names
    assert files[0] == files[1]
    assert not files[2]  # nor is an earlier one left beside another report


def test_sources_have_a_table_of_their_parts(tmp_path):
    """By itself: what is missing where it alone is held. With interactions: it alone varies."""
    write("sources", tmp_path)
    report = StudyReport.from_json((tmp_path / "out/report.json").read_text())
    churns = {group.name: group.measures["churn"].mean for group in report.groups}
    everything = churns["init+order+augmentation+sample"]
    page = (tmp_path / "out/study.md").read_text().split("### The parts of churn")[1]
    for title, alone, others in (
        ("initialisation", "init", "order+augmentation+sample"),
        ("sample", "sample", "init+order+augmentation"),
    ):
        row = next(row for row in page.splitlines() if row.startswith(f"| {title} |"))
        found = [float(cell.split("[")[0].replace("−", "-")) for cell in row.split("|")[2:4]]
        expected = [1 - churns[others] / everything, churns[alone] / everything]
        np.testing.assert_allclose(found, 100 * np.array(expected), atol=0.51)


@pytest.mark.parametrize(
    ("calls", "seconds"),
    [
        ([(0, 5)], 3.0),
        ([(0, 2), (2, 5)], 6.0),  # stopped by a signal, and resumed
        ([(2, 5)], None),  # what made the first steps has not told
        ([(0, 2)], None),  # nor has what made the last
    ],
)
def test_a_cell_took_what_all_its_calls_took_or_it_is_not_known(tmp_path, calls, seconds):
    _, plans, _ = make("table6", tmp_path)
    running.finish(plans[:1], stand_in)
    (first, *_) = plans
    assert first.seconds < 60  # of the one call that there was
    lines = [
        {"from_step": begun, "to_step": ended, "seconds": {"starting": 1.0, "training": 2.0}}
        for begun, ended in calls
    ]
    text = "".join(json.dumps(sealed(line)) + "\n" for line in lines)
    (first.folder / "times.jsonl").write_text(text)
    assert first.seconds == seconds


def test_a_table_has_the_measured_time_of_predicting_where_it_is_known(tmp_path):
    """The stand-in measures none; what a training or another view of it says is kept."""

    def page(trainer, predictor, folder):
        found, plans, _ = make("samples", folder)
        running.finish(plans, trainer, predictor)
        output.write(*results.report(found, plans), "command", [], folder / "out")
        return (folder / "out/study.md").read_text()

    def views(_, config, folder):
        stand_in(config, folder)

    assert "1,000 predictions" not in page(stand_in, views, tmp_path / "none")

    def trained(config, folder):
        stand_in(config, folder)
        return 2.5

    def predicted(_, config, folder):
        stand_in(config, folder)
        return 5.0 if config.method.counts_mean else 1.25

    text = page(trained, predicted, tmp_path / "all")
    header, _, *rows = (line for line in text.splitlines() if line.startswith("|"))
    place = header.split(" | ").index("seconds of 1,000 predictions")
    found = {row.split(" | ")[0]: row.split(" | ")[place] for row in rows[:8]}
    assert found["| baseline"] == "2.5"
    assert found["| twins, mean of members"] == "5"
    assert found["| pair, member 0"] == "1.25"
