"""What commands can be asked, without what does the work: --help is there at once.

The imports of analysis, training and pages take seconds.
"""

import argparse
import csv
import dataclasses

from churn_jax.errors import UserError
from churn_jax.system.arguments import Parser

# What values of prediction files can be: `predictions.readers.source.KINDS`.
KINDS = ("probs", "log_probs", "logits", "classes", "multilabel")


@dataclasses.dataclass(frozen=True)
class Measures:
    """What --measures says.

    Attributes:
      everything: whether the costly measures of every report are among them.
      asked: names of those that a report holds only where they are asked for.
    """

    everything: bool = True
    asked: tuple[str, ...] = ()


def evaluate(about: str | None) -> Parser:
    """Of `churn_jax.evaluate`, whose docstring says what it is about."""
    parser = Parser("churn_jax.evaluate", about)
    parser.add_argument("--runs", required=True, help="workdirs, separated by commas")
    parser.add_argument("--out", required=True, help="folder for the report")
    parser.add_argument("--step", default="latest", help="latest, all, or a number")
    _add_measures(parser)
    parser.add_argument(
        "--paired",
        action="store_true",
        help="run r of each workdir belongs to run r of the first, which it updates",
    )
    parser.add_argument(
        "--figures", action="store_true", help="every figure as SVG and PDF, in OUT/figures"
    )
    return parser


def study(about: str | None) -> Parser:
    """Of `churn_jax.study`."""
    parser = Parser("churn_jax.study", about)
    parser.add_argument("--study", required=True, help="a file of configs/studies, or its name")
    parser.add_argument("--dataset", default="digits", help="any config file beside studies/")
    parser.add_argument("--workdir", default="runs/studies", help="of all studies")
    parser.add_argument("--runs", type=int, help="independent runs a cell")
    parser.add_argument("--epochs", type=float, help="length of training")
    parser.add_argument("--grid", default="", help="values to sweep: 'alpha=0.1,0.3;beta=0.5,1'")
    parser.add_argument("--cell", help="train this cell alone, and make no tables")
    parser.add_argument("--list", action="store_true", help="list the cells, and train nothing")
    parser.add_argument(
        "--report", action="store_true", help="show what is finished, and train nothing"
    )
    parser.add_argument(
        "--figures", action="store_true", help="figures as PDF, too, beside SVG and PNG"
    )
    return parser


def compare(about: str | None) -> Parser:
    """Of `churn_jax.compare`."""
    parser = Parser("churn_jax.compare", about)
    parser.add_argument("files", nargs="*", help="prediction files or run folders, the old first")
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=FILES",
        help="runs of one group; FILES may hold * and commas; may be repeated",
    )
    parser.add_argument("--labels", help="file of true classes, if they are not in the others")
    parser.add_argument(
        "--weights",
        metavar="COLUMN|FILE",
        help="what each example counts: a column of the files, or a file of weights",
    )
    parser.add_argument(
        "--kind", choices=KINDS, help="what the values are, instead of detecting it"
    )
    parser.add_argument("--id", metavar="COLUMN", help="the column or array with the ids")
    parser.add_argument("--label", metavar="COLUMN", help="the one with the true classes")
    parser.add_argument("--prediction", metavar="COLUMN", help="the one with predicted classes")
    parser.add_argument(
        "--columns",
        type=_listed,
        default=(),
        metavar="A,B,…",
        help="those with the classes' values; what else a table has is left out",
    )
    parser.add_argument("--score", help="of a harness's log, the score that says right or wrong")
    parser.add_argument("--filter", help="of lm-evaluation-harness's samples, whose filter counts")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="predict the positive one of two classes from this probability on",
    )
    parser.add_argument(
        "--missing",
        choices=("refuse", "drop"),
        default="refuse",
        help="drop leaves out examples that lack a value in some file, and counts them",
    )
    parser.add_argument(
        "--on",
        choices=("all", "common"),
        default="all",
        help="common compares the examples that all files have, and counts the others",
    )
    parser.add_argument("--alphas", type=_numbers, help="the α of SChurn_α")
    _add_measures(parser)
    parser.add_argument("--slices", help=".csv with the slices of each example")
    parser.add_argument(
        "--fail_if", help="the gate: conditions that fail it, such as 'churn>5%%, nfr>1%%'"
    )
    parser.add_argument(
        "--pass_if",
        help="conditions that the 95 %% interval must show, such as "
        "'churn<5%%, accuracy_new>accuracy_old-0.5%%'",
    )
    parser.add_argument(
        "--undecided",
        choices=("error", "pass"),
        default="error",
        help="what becomes of a gate that can't be decided",
    )
    parser.add_argument(
        "--confident",
        action="store_true",
        help="a condition of --fail_if counts only where the 95 %% interval leaves no doubt",
    )
    parser.add_argument(
        "--paired",
        action="store_true",
        help="run r of each group belongs to run r of the first, as an update to what it updates",
    )
    parser.add_argument(
        "--out", help="folder for report.html, .md, .json, .csv, .tex and junit.xml"
    )
    parser.add_argument(
        "--figures", action="store_true", help="every figure as SVG and PDF, in OUT/figures"
    )
    return parser


def export(about: str | None) -> Parser:
    """Of `churn_jax.export`."""
    parser = Parser("churn_jax.export", about)
    parser.add_argument("workdir", help="of the training")
    parser.add_argument("--out", required=True, help="folder for the model; made if need be")
    parser.add_argument("--run", type=int, default=0, help="which of its runs")
    parser.add_argument("--step", type=int, help="of which checkpoint; the last by default")
    parser.add_argument("--prediction", help="first, mean, ema, …; by default as the config says")
    parser.add_argument(
        "--views", help="one, flip, shift or flip_shift; by default as the config says"
    )
    return parser


def _add_measures(parser: Parser) -> None:
    parser.add_argument(
        "--measures",
        type=_measures,
        default=Measures(),
        metavar="A,B,…",
        help="main leaves out entropy, Brier score, distances and classwise calibration; auc, f1, "
        "precision, recall, recall[CLASS], recall[*], top5_accuracy, top5_churn add these",
    )
    parser.add_argument("--positive", metavar="CLASS", help="the positive one of two classes")


def _listed(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that has one is quoted as in a .csv file."""
    return tuple(next(csv.reader([text], skipinitialspace=True), ()))


def _measures(text: str) -> Measures:
    names = tuple(name.strip() for name in _listed(text))
    if not names or "" in names:
        raise argparse.ArgumentTypeError(f"{text!r}: must be names separated by commas")
    if {"all", "main"} <= set(names):
        raise argparse.ArgumentTypeError(f"{text!r}: say all or main, not both")
    asked = tuple(name for name in names if name not in ("all", "main"))
    return Measures("main" not in names, asked)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--alphas={text}: must be numbers separated by commas") from None
    if any(not 0 < number < float("inf") for number in numbers):
        raise UserError(f"--alphas={text}: must be positive")
    return tuple(dict.fromkeys((1.0, *numbers)))
