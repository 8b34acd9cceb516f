"""Tables and sentences in terminals and logs: their width, their stars and their colours."""

import dataclasses
import io
import re
import sys

import numpy as np
import pytest

from churn_jax import compare as command
from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.report import layout, table
from churn_jax.report.best import Cell, marked
from churn_jax.report.numbers import cell
from churn_jax.studies.tables import Entry, Rendered, to_terminal
from churn_jax.system import console
from churn_jax.system.console import Look

LONG = "results/of-a-very-long/path/to_the_model_of_2026-11-27_final_v3.npz", "模型" * 20
ANSI = re.compile(r"\x1b\[[0-9]*m")


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)

    def runs(noise):
        logits = 2 * np.eye(3)[labels] + noise * rng.normal(size=(3, 300, 3))
        return list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))

    groups = {"old": runs(2.0), LONG[0]: runs(0.7), LONG[1]: runs(1.5)}
    return compare(groups, labels, everything=False, fail_if="churn>1%, nfr>90%")


def blocks(text, first):
    """The blocks of a table: header, rule and rows of each."""
    found = [part.split("\n") for part in text.split("\n\n")]
    return [lines for lines in found if lines[0].startswith(first)]


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_tables_keep_to_the_width_and_show_every_cell_whole(result, width):
    report = result.report
    text = reports.to_terminal(report, Look(width))
    for first, rows in (
        ("group", table.group_table(report)),
        ("from", table.change_table(report)),
    ):
        shown = blocks(text, first)
        assert max(layout.columns_of(line) for lines in shown for line in lines) <= width
        assert all(set(lines[1] + lines[2]) & {"─"} for lines in shown)
        words = {word for lines in shown for line in lines for word in line.split()}
        assert {word for row in rows[1:] for text in row[1:] for word in text.split()} <= words
    if width >= 80:
        assert len(blocks(text, "group")) == {80: 7, 120: 3, 300: 1}[width]


def test_a_name_too_long_is_broken_and_none_of_it_lost():
    name, numbers = "x" * 95 + "end", "95.22 ± 0.63 [94.30, 96.00]"
    lines = layout.table([[Cell("group"), Cell("churn")], [Cell(name), Cell(numbers)]], Look(80))
    assert max(map(len, lines)) == 80
    assert numbers in lines[2]
    assert "".join(line.split("  ")[0] for line in lines[2:]) == name


def test_columns_go_on_below_each_with_the_names_of_the_rows():
    header = ["data", "method", *(f"measure {i}" for i in range(6))]
    rows = [[Entry(text) for text in ("digits", "baseline", *["12.34 ± 5.67"] * 6)]]
    rendered = Rendered("t", "A table", header, rows, ["A note."], labels=2)
    text = to_terminal(rendered, Look(60))
    shown = blocks(text, "data")
    assert [lines[0].split()[2::2] for lines in shown] == [["measure"] * 3] * 2
    assert all(lines[2].startswith("digits  baseline  12.34 ± 5.67  12.34") for lines in shown)
    assert text.startswith("A table\n")
    assert text.endswith("\n\nA note.")


def test_a_published_value_stays_beside_ours():
    header = ["method", "accuracy", "paper", "churn", "paper"]
    rows = [[Entry(text) for text in ("baseline", *["12.34 ± 5.67"] * 4)]]
    text = to_terminal(Rendered("t", "A table", header, rows, [], beside="paper"), Look(54))
    titles = [lines[0].split() for lines in blocks(text, "method")]
    assert titles == [["method", "accuracy", "paper"], ["method", "churn", "paper"]]


def test_sentences_are_one_line_in_a_log_and_keep_to_a_terminal():
    said = "churn: a 4.22 %, b 6.21 %: −2.00 points [−2.64, −1.35], p = 2e-05: better " * 3
    assert layout.paragraph(said.strip(), Look(50)) == [said.strip()]
    lines = layout.paragraph(said.strip(), Look(50, wrap=True))
    assert max(map(len, lines)) <= 50
    assert " ".join(line.strip() for line in lines) == said.strip()
    assert "".join(lines).count("[−2.64, −1.35]") == 3
    assert not any(line.strip().startswith(("%", "=")) for line in lines)
    path = "/a" * 60  # not broken: it is to be copied
    assert layout.paragraph(f"Report: {path}", Look(50, wrap=True)) == ["Report:", f"  {path}"]


def test_the_best_has_a_star_where_another_is_shown_to_be_worse(result):
    report = result.report
    worse = [c for c in report.contrasts if c.metric == "churn" and LONG[0] in (c.a, c.b)]
    assert {c.claim for c in worse} == {"better", "worse"}
    assert marked(report, "churn") == {LONG[0]}
    text = reports.to_terminal(report, Look(300))
    for group in report.groups:
        star = " *" if group.name == LONG[0] else "  "
        assert cell("churn", group.measures["churn"]) + star in text
    fewer = dataclasses.replace(
        report, contrasts=tuple(c for c in report.contrasts if c != worse[0])
    )
    assert marked(fewer, "churn") == set()  # not held against every other
    undecided = [dataclasses.replace(c, p=0.5, p_holm=0.5, claim="") for c in report.contrasts]
    assert marked(dataclasses.replace(report, contrasts=tuple(undecided)), "churn") == set()


def test_colours_only_repeat_the_words(result):
    for show in (reports.to_terminal, reports.to_verdict):
        plain, coloured = (show(result.report, Look(80, True, colour)) for colour in (False, True))
        assert ANSI.sub("", coloured) == plain
        assert not ANSI.search(plain)
    coloured = reports.to_terminal(result.report, Look(200, colour=True))
    assert "\n\x1b[31mFAILED\x1b[0m: churn" in coloured
    assert "\n\x1b[32mpassed\x1b[0m: bad churn" in coloured
    for bold in re.findall(r"\x1b\[1m(.*?)\x1b", coloured):
        assert bold.endswith(" *") or any(bold in name for name in LONG)
    assert reports.to_verdict(result.report, Look(colour=True)).startswith(
        "\x1b[31mFAILED\x1b[0m: "
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "look"),
    [
        (io.StringIO(), {}, Look(120, False, False)),
        (io.StringIO(), {"COLUMNS": "80"}, Look(80, False, False)),
        (io.StringIO(), {"COLUMNS": "none"}, Look(120, False, False)),
        (Terminal(), {"COLUMNS": "80"}, Look(80, True, True)),
        (Terminal(), {"COLUMNS": "80", "NO_COLOR": "1"}, Look(80, True, False)),
        (Terminal(), {"COLUMNS": "80", "NO_COLOR": ""}, Look(80, True, True)),
        (Terminal(), {"COLUMNS": "80", "TERM": "dumb"}, Look(80, True, False)),
    ],
)
def test_what_a_stream_is_shown_with(stream, environment, look, monkeypatch):
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())  # has no size
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert console.look(stream) == look


def test_the_command_in_a_terminal(tmp_path, monkeypatch):
    for place in range(2):
        np.save(tmp_path / f"{place}.npy", np.arange(100) % (2 + place))
    for name, value in {"COLUMNS": "60", "TERM": "xterm", "NO_COLOR": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.chdir(tmp_path)
    code = command.main(["0.npy", "1.npy", "--fail_if=churn>1%"])
    text = sys.stdout.getvalue()
    assert code == 1
    assert text.split("\n\n")[-1].startswith("\x1b[31mFAILED\x1b[0m: churn")
    assert max(len(ANSI.sub("", line)) for line in text.splitlines()) <= 60
