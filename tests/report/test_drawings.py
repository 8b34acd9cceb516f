"""--figures: every figure of the page as SVG and PDF, the same bytes for the same report."""

import importlib.util
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from churn_jax import compare as command
from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.report import drawings, figures
from churn_jax.report.report import Report

NAMES = ("old $x_1$ <b>&amp; 100 %", "new_" + "long " * 30)


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)

    def runs(noise):
        logits = 2 * np.eye(3)[labels] + noise * rng.normal(size=(3, 200, 3))
        return list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))

    return compare(dict(zip(NAMES, (runs(1.5), runs(1.0)), strict=True)), labels).report


@pytest.fixture(scope="module")
def out(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    reports.write(report, folder, draw_figures=True)
    return folder


def texts(path):
    """The texts of an SVG, which must be valid XML."""
    root = ElementTree.parse(path).getroot()
    return ["".join(found.itertext()) for found in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_figure_of_the_page_has_both_files(report, out):
    page = (out / "report.html").read_text()
    every = figures.every(report)
    assert page.count("<figure id=") == len(every) > 5
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{figure.name}.{kind}" for figure in every for kind in ("svg", "pdf")
    }
    for figure in every:
        assert (out / f"figures/{figure.name}.pdf").read_bytes().startswith(b"%PDF")
        shown = texts(out / f"figures/{figure.name}.svg")
        assert {figure.plot.x_title, figure.plot.y_title} <= set(shown)


def test_names_are_only_names_and_whole(out):
    shown = texts(out / "figures/accuracy_and_churn.svg")
    assert NAMES[0] in shown
    assert "new_long" in " ".join(shown)
    assert " ".join(shown).count("long") == 2 * 30  # in the title and in the legend


def test_the_same_report_gives_the_same_bytes_without_a_date(report, out):
    again = Report.from_json(report.to_json())
    for figure in figures.surrogate_curve(again):
        for kind, content in drawings.draw(figure).items():
            assert (out / f"figures/{figure.name}.{kind}").read_bytes() == content
    for path in (out / "figures").iterdir():
        assert not re.search(rb"CreationDate|dc:date", path.read_bytes())


def test_marks_are_where_the_numbers_are(report):
    (figure,) = figures.trade_off(report)
    dots = [mark for mark in figure.plot.marks if mark.kind == "dot"]
    for group, dot in zip(report.groups, dots, strict=True):
        assert dot.xs == (100 * group.measures["accuracy"].mean,)
        assert dot.ys == (100 * group.measures["churn"].mean,)
    svg = drawings.draw(figure)["svg"].decode()
    # The two dots' places in the file, against those of the axes' ends.
    uses = re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #', svg)
    (x0, y0), (x1, y1) = ((float(x), float(y)) for x, y in uses[:2])
    (low, high), (bottom, top) = figure.plot.x, figure.plot.y
    width = 0.775 * figure.plot.width / 100 * 72  # matplotlib's default axes: of 72 points an inch
    height = 0.77 * figure.plot.height / 100 * 72
    first, second = dots
    assert x1 - x0 == pytest.approx((second.xs[0] - first.xs[0]) / (high - low) * width, rel=1e-3)
    assert y0 - y1 == pytest.approx(
        (second.ys[0] - first.ys[0]) / (top - bottom) * height, rel=1e-3
    )


def test_signs_that_the_font_lacks_are_said(report, capsys):
    (figure,) = figures.trade_off(report)
    drawings.draw(figure._replace(legend=[("s0", "模型")]))
    assert "accuracy_and_churn.pdf: the font lacks signs" in capsys.readouterr().err


def test_figures_of_an_earlier_command_go_and_others_stay(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    mine = tmp_path / "out/figures/mine.svg"
    mine.write_text("<svg/>")
    reports.clear(tmp_path / "out")
    assert list((tmp_path / "out").rglob("*.*")) == [mine]
    shutil.copytree(out, tmp_path / "again")
    reports.clear(tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())


def test_the_command(tmp_path, monkeypatch):
    for place in range(2):
        probs = np.random.default_rng(place).dirichlet(np.ones(3), 100)
        np.savez(tmp_path / f"{place}.npz", probs=probs)
    files = [f"{tmp_path}/0.npz", f"{tmp_path}/1.npz", "--figures"]
    with pytest.raises(ValueError, match="say --out=FOLDER"):
        command.main(files)
    out = tmp_path / "out"
    assert command.main([*files, f"--out={out}"]) == 0
    assert (out / "figures/near_ties.svg").exists()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs matplotlib, which is not installed"):
        command.main([*files, f"--out={tmp_path}/other"])
    assert not (tmp_path / "other").exists()
