"""What a study's page opens with, of studies as they are committed."""

from pathlib import Path

import pytest

from churn_jax.studies import output, planning
from churn_jax.studies.design import Options, restrict
from churn_jax.studies.study_report import StudyReport

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (
            "figure1",
            "codistill_skl_beta_2 (4.04 %) churns least: less than baseline (6.11 %), p = ",
        ),
        # One of its cells repeats one training, so nothing is said of which churns less.
        (
            "table1",
            "Churn reaches from 0.0 % (remove_augmentation-identical_order-identical_init) to",
        ),
    ],
)
def test_a_study_opens_with_what_churns_least_or_how_far_churn_reaches(tmp_path, name, answer):
    study = planning.load_study(f"{ROOT}/configs/studies/{name}.py", Options(dataset="digits"))
    text = (ROOT / f"docs/results/digits/{name}/report.json").read_text()
    report = StudyReport.from_json(text)
    cells = [group.name for group in report.groups]
    output.write(restrict(study, cells), report, "the command", [], tmp_path)
    page = (tmp_path / "study.html").read_text()
    assert f'<p class="status">{answer}' in page
    assert page.index(answer) < page.index("<nav") < page.index("<table")
