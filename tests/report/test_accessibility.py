"""Pages as axe-core judges them, light and dark, wide and narrow; and as they are printed."""

import base64
import dataclasses
import importlib.resources
import io
import json
from pathlib import Path

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.report.curves import Curve
from churn_jax.report.report import Point
from churn_jax.studies import output, planning
from churn_jax.studies.design import Options, restrict
from churn_jax.studies.study_report import StudyReport

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
CLASSES = [f"class {i}" for i in range(22)]


def runs(noise, count, seed):
    """Probabilities of 22 classes for 120 examples, and the true classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 22, 120)
    shared = 3 * np.eye(22)[labels] + rng.normal(size=(120, 22))
    logits = shared + noise * np.random.default_rng(seed).normal(size=(count, 120, 22))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return [{"probs": each, "class_names": np.array(CLASSES)} for each in probs], labels


def gated(out, **gate):
    old, labels = runs(1.0, 3, 1)
    new, _ = runs(0.6, 3, 2)
    slices = {"light": np.where(np.arange(120) < 50, "day", "night")}
    groups = {"old": old, "new": new}
    compare(groups, labels, slices=slices, everything=False, **gate).write(out)
    return out / "report.html"


def passing(out):
    return gated(out, fail_if="churn>90%, bad_churn>80%")


def failing(out):
    return gated(out, fail_if="churn>1%, accuracy_new<accuracy_old-50%")


def undecided(out):
    old, labels = runs(1.0, 2, 1)
    new, _ = runs(1.0, 2, 2)
    wrong = (labels + 7) % 22  # so that no model has learned
    compare({"old": old, "new": new}, wrong, everything=False, fail_if="churn>1%").write(out)
    return out / "report.html"


def evaluation(out):
    """One method's runs, with the curves of their training."""
    old, labels = runs(1.0, 3, 1)
    found = compare({"baseline": old}, labels, everything=False)
    group = found.report.groups[0]
    curves = [
        Curve(
            measure=name,
            group="baseline",
            member=0,
            epochs=(1.0, 2.0),
            mean=(0.5, 0.7),
            std=(0.1, 0.1),
        )
        for name in ("train/accuracy", "test/accuracy", "train/cross_entropy")
    ]
    points = tuple(
        Point(step, group.measures["accuracy"], group.measures["churn"]) for step in (10, 20)
    )
    report = dataclasses.replace(
        found.report, learning=tuple(curves), over_training={"baseline": points}
    )
    dataclasses.replace(found, report=report).write(out)
    return out / "report.html"


def answers(out):
    """A language model's, three repeats of every item, before and after."""
    out.mkdir()
    for seed, name in enumerate(("old", "new")):
        rng = np.random.default_rng(seed)
        records = [
            {
                "id": f"item {i}",
                "question": f"What is {i} + {i}?",
                "correct": bool(rng.random() < 0.6),
            }
            for _ in range(3)
            for i in range(40)
        ]
        lines = (json.dumps(record) for record in records)
        (out / f"{name}.jsonl").write_text("\n".join(lines))
    compare(out / "old.jsonl", out / "new.jsonl", fail_if="bad_churn>5%").write(out)
    return out / "report.html"


def study(out):
    """A table and a figure of a study, as they are committed."""
    found = planning.load_study(str(ROOT / "configs/studies/sources.py"), Options(dataset="digits"))
    text = (ROOT / "docs/results/digits/sources/report.json").read_text()
    report = StudyReport.from_json(text)
    cells = [group.name for group in report.groups]
    output.write(restrict(found, cells), report, "python -m churn_jax.study " * 9, [], out)
    return out / "study.html"


SLOW = [pytest.param(make, marks=pytest.mark.slow) for make in (passing, undecided, evaluation)]


def look(browser, mode, width):
    features = [{"name": "prefers-color-scheme", "value": mode}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.set_window_size(width, 900)


@pytest.fixture(scope="session")
def axe():
    """axe-core's script."""
    pytest.importorskip("axe_core_python", reason="pip install -e '.[browser]'")
    return (importlib.resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("make", [failing, answers, study, *SLOW], ids=lambda make: make.__name__)
def test_axe_finds_no_serious_fault(browser, axe, make, tmp_path):
    page = make(tmp_path / "out").as_uri()
    for mode, width in (("light", 1280), ("dark", 500)):
        look(browser, mode, width)
        browser.get(page)
        browser.execute_script(
            "for (const e of document.querySelectorAll('details')) e.open = true"
        )
        browser.execute_script(axe)
        browser.set_script_timeout(120)
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        faults = [
            (mode, fault["impact"], fault["id"], [node["html"][:200] for node in fault["nodes"]])
            for fault in found["violations"]
        ]
        assert faults == []
        assert len(found["passes"]) > 20
    look(browser, "light", 1280)


def test_print_is_black_on_white_whole_and_unfolded(browser, tmp_path):
    pypdfium2 = pytest.importorskip("pypdfium2")
    page = failing(tmp_path / "out")
    look(browser, "dark", 1280)
    browser.get(page.as_uri())
    sheet = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False}
    printed = browser.execute_cdp_cmd("Page.printToPDF", sheet)["data"]
    look(browser, "light", 1280)
    document = pypdfium2.PdfDocument(io.BytesIO(base64.b64decode(printed)))
    pages = [sheet.get_textpage().get_text_bounded() for sheet in document]
    text = " ".join(" ".join(pages).split())
    assert len(pages) < 20
    assert "Does not ship:" in text
    assert "The first 40 of" in text
    assert "every measure" in text.lower()
    assert "NLL" in text.partition("Definitions")[0]  # of the table that is folded
    first = np.asarray(document[0].render(scale=1).to_pil().convert("L"))
    assert np.median(first) == 255
    assert first.min() < 40
    for sheet in document:  # nothing reaches the sides of the paper
        ink = np.asarray(sheet.render(scale=1).to_pil().convert("L")) < 200
        assert not ink[:, :10].any()
        assert not ink[:, -10:].any()
