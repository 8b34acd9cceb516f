"""Records, CSV, LaTeX and notebooks: the numbers of the report, and names that are only names."""

import csv
import html.parser
import io
import json
import re

import numpy as np
import pytest

from churn_jax import compare as command
from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.errors import printable

NAMES = ("a & b_1 % #$ {x} ~^\\ <script>alert(1)</script>", '[new], "n"\nline')


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)

    def runs(noise):
        logits = 2 * np.eye(3)[labels] + noise * rng.normal(size=(3, 200, 3))
        return list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))

    groups = {NAMES[0]: runs(1.5), NAMES[1]: runs(1.0)}
    return compare(groups, labels, fail_if="churn>90%")


def test_records_have_every_measure_and_contrast(result):
    records, report = result.to_records(), result.report
    of = {(record["table"], record["of"], record["measure"]): record for record in records}
    assert len(of) == len(records)
    for group in report.groups:
        found = of["group", group.name, "churn"]
        assert found["mean"] == group.measures["churn"].mean
        assert found["std"] == group.measures["churn"].spread.std
        assert found["p"] is None
    (change,) = report.between
    found = of["change", f"{change.a} → {change.b}", "negative_flip_rate"]
    assert (found["low"], found["high"]) == change.measures["negative_flip_rate"].ci95
    for contrast in report.contrasts:
        found = of["contrast", f"{contrast.b} − {contrast.a}", contrast.metric]
        assert (found["mean"], found["p"]) == (contrast.difference, contrast.p)
        assert (found["low"], found["high"]) == contrast.ci95
        assert found["p_holm"] == contrast.p_holm
    assert len({frozenset(record) for record in records}) == 1


def test_csv_is_the_records_in_full_digits(result):
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    records = result.to_records()
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row["measure"] == record["measure"]
        for column in ("mean", "std", "low", "high", "p"):
            value = record[column]
            if value is None or value != value:
                assert row[column] == ""
            else:
                assert float(row[column]) == value
    assert "\n" not in "".join(row["of"] for row in rows)


def test_csv_has_what_report_json_has(result):
    """Every measure of every group, change and contrast: once, and nothing else."""
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    report = json.loads(result.to_json())
    of = {(row["table"], row["of"], row["measure"]): row for row in rows}
    expected = {
        **{("group", printable(g["name"])): (g, g["num_runs"]) for g in report["groups"]},
        **{
            ("change", printable(f"{c['a']} → {c['b']}")): (c, None)
            for c in report["between"]
        },
    }  # fmt: skip
    count = 0
    for (kind, name), (entry, runs) in expected.items():
        for key, found in entry.items():
            if not isinstance(found, dict) or "ci95" not in found:
                continue
            row = of[kind, name, key]
            values = (found["mean"], found.get("std"), *found["ci95"], runs)
            for column, value in zip(("mean", "std", "low", "high", "runs"), values, strict=True):
                assert row[column] == ("" if value is None else repr(value)), (name, key, column)
            count += 1
    for found in report["contrasts"]:
        row = of["contrast", printable(f"{found['b']} − {found['a']}"), found["metric"]]
        values = (found["difference"], *found["ci95"], found["p"], found["p_holm"])
        for column, value in zip(("mean", "low", "high", "p", "p_holm"), values, strict=True):
            assert row[column] == repr(value)
        count += 1
    assert len(rows) == len(of) == count
    units = {row["measure"]: row["unit"] for row in rows}
    assert (units["churn"], units["nll"], units["brier"]) == ("fraction", "nats", "number")


def test_latex_has_the_tables_and_no_command_of_a_name(result):
    text = result.to_latex()
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert lines.count(r"\end{tabular}") == sum("begin{tabular}" in line for line in lines) == 2
    rows = [line for line in lines if line.endswith(r"\\")]
    columns = {"group (runs)": None}
    for line in rows:
        cells = re.split(r"(?<!\\)&", line)
        columns.setdefault(len(cells), 0)
    widths = [len(spec) for spec in re.findall(r"tabular\}\{(l+)\}", text)]
    assert sorted(n for n in columns if isinstance(n, int)) == sorted(set(widths))
    body = "\n".join(rows)
    assert r"a \& b\_1 \% \#\$ \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}" in body
    for unescaped in (r"(?<!\\)%", r"(?<!\\)#", r"(?<![\\\w$}])_(?!1\$)"):
        assert not re.search(unescaped, body), unescaped
    assert not set(body) & set("±−→✓✗₁")
    churn = result.report.groups[0].measures["churn"]
    low, high = churn.ci95
    shown = rf"{100 * churn.mean:.2f} $\pm$ {100 * churn.spread.std:.2f}"
    assert f"{shown} [{100 * low:.2f}, {100 * high:.2f}]" in body
    braces = re.sub(r"\\[{}]", "", "\n".join(lines))
    assert braces.count("{") == braces.count("}")
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ] * 2
    for rule in ("top", "mid", "bottom"):  # plain lines in a document without booktabs
        assert rf"\providecommand{{\{rule}rule}}{{\hline}}" in lines


def test_latex_has_the_best_in_bold(result):
    better = {
        found.metric for found in result.report.contrasts if found.claim in ("better", "worse")
    }
    assert {"accuracy", "churn"} <= better  # what the test is about
    (row,) = (line for line in result.to_latex().splitlines() if line.startswith("{[new]"))
    for key in ("accuracy", "churn"):
        mean = result.report.groups[1].measures[key].mean
        assert rf"& \textbf{{{100 * mean:.2f} $\pm$" in row


class Parser(html.parser.HTMLParser):
    """Counts tags, and sees that all are closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.seen.append(tag)
        assert not attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_notebook_shows_the_verdict_and_the_tables(result):
    fragment = result._repr_html_()
    parser = Parser()
    parser.feed(fragment)
    assert parser.open == []
    assert parser.seen.count("table") == 2
    assert "script" not in parser.seen
    assert "PASSED" in fragment
    assert "&lt;script&gt;" in fragment


def test_the_command_writes_them_too(result, tmp_path):
    for place in range(2):
        np.save(tmp_path / f"{place}.npy", np.arange(100) % (2 + place))
    command.main([f"{tmp_path}/0.npy", f"{tmp_path}/1.npy", f"--out={tmp_path}/out"])
    assert (tmp_path / "out/report.csv").read_text().startswith("table,of,measure,mean,")
    assert (tmp_path / "out/report.tex").read_text().startswith("% Made by churn_jax")
    reports.clear(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
