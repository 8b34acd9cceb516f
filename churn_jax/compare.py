"""Churn, calibration and their uncertainty between prediction files of any framework, and a gate.

    python -m churn_jax.compare OLD NEW
    python -m churn_jax.compare old.npz new.npz --labels=labels.npy --fail_if='churn>5%, nfr>1%'
    python -m churn_jax.compare old.npz new.npz --pass_if='accuracy_new>accuracy_old-0.5%'
    python -m churn_jax.compare --group 'old=runs/a/*.npz' --group 'new=runs/b/*.npz' --out=report

Files are .npz, .npy, .safetensors, .csv, .tsv, .parquet, or run folders of churn_jax. Each file is
a group of one run and each run folder a group of its runs, unless --group says otherwise. Exit code
0: the gate holds, or there is none; 1: it failed; 2: bad input; 3: it can't be decided; 70: a bug.
"""

from churn_jax.system import startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    startup.start()

import argparse
import contextlib
import csv
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from etils import epath

from churn_jax import report as reports
from churn_jax.analysis.blocks import EVERYTHING
from churn_jax.analysis.comparison import Comparison, compare
from churn_jax.analysis.inputs import file_names
from churn_jax.errors import UsageError, UserError, printable
from churn_jax.predictions.readers.source import KINDS
from churn_jax.report import Timing
from churn_jax.storage.files import out_folder
from churn_jax.storage.paths import is_pattern, matches, split_paths
from churn_jax.system import console
from churn_jax.system.arguments import Parser

__all__ = ["Comparison", "compare"]

EXIT_CODES = {"passed": 0, "failed": 1, "undecided": 3}
_RUN_OF = re.compile(
    r"(?P<start>(?P<model>.*?)[-_.]*(?:seed|run|replica|rep|trial|fold|init)[-_.]*)"
    r"[0-9]+(?P<end>[^/0-9]*)",
    re.IGNORECASE,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    timing = Timing.begin()
    asked = _asked(arguments)
    out = out_folder(asked.out, "--out") if asked.out else None
    if out:
        reports.clear(out)
    try:
        options = _parser().parse_args(arguments)
        result = _compare(options)
        if out:
            result.write(out, options.figures)
    except Exception as error:
        if out:
            _leave_no_verdict(out, asked, error, timing)
        raise
    look = console.look()
    print(reports.to_terminal(result.report, look))
    if out:
        print(f"\n{printable(f'Report: {out}/report.html')}")
    print(f"\n{reports.to_verdict(result.report, look)}")
    return EXIT_CODES[result.outcome]


def _leave_no_verdict(
    out: epath.Path, asked: argparse.Namespace, error: Exception, timing: Timing
) -> None:
    """What a comparison that broke leaves: nothing, or of a gate what tells a CI why.

    A command line that is wrong in itself makes no new folder.
    """
    conditions = [text for text in (asked.fail_if, asked.pass_if) if text is not None]
    with contextlib.suppress(UserError):  # that the disk is full has been said
        reports.clear(out)
        if conditions and (out.exists() or not isinstance(error, UsageError)):
            reports.write_broken(out, conditions, error, timing)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    """The folder and the gate of a command line, whatever else is wrong with it.

    So that a verdict in the folder is never an earlier command's.
    """
    parser = Parser("churn_jax.compare", None, add_help=False)
    for name in ("--out", "--fail_if", "--pass_if"):
        parser.add_argument(name, action="store")  # what is there twice is refused later
    return parser.parse_known_args(arguments)[0]


def _compare(options: argparse.Namespace) -> Comparison:
    if options.figures:
        if not options.out:
            raise UsageError("--figures: where? say --out=FOLDER, too")
        reports.refuse_without_matplotlib()
    _say_if_runs(options.files)
    groups = _groups(options.files, options.group)
    if options.out:
        others = [path for path in (options.labels, options.slices) if path]
        inputs = [path for paths in (*groups.values(), others) for path in paths]
        reports.refuse_overwriting(os.path.expanduser(options.out), inputs)
    return compare(
        groups,
        options.labels,
        kind=options.kind,
        id=options.id,
        label=options.label,
        prediction=options.prediction,
        columns=options.columns,
        missing=options.missing,
        on=options.on,
        alphas=options.alphas,
        everything="main" not in options.measures,
        measures=[key for key in options.measures if key not in ("all", "main")],
        slices=options.slices,
        fail_if=options.fail_if,
        pass_if=options.pass_if,
        confident=options.confident,
        pass_undecided=options.undecided == "pass",
        paired=options.paired,
        score=options.score,
        filter=options.filter,
    )


def _parser() -> Parser:
    parser = Parser("churn_jax.compare", __doc__)
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
    parser.add_argument(
        "--alphas", type=_numbers, default=EVERYTHING.alphas, help="the α of SChurn_α"
    )
    parser.add_argument(
        "--measures",
        type=_measures,
        default=("all",),
        metavar="A,B,…",
        help="main leaves out entropy, Brier score, distances and classwise calibration; auc, f1, "
        "precision, recall, recall[CLASS], recall[*], top5_accuracy, top5_churn add these",
    )
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


def _listed(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that has one is quoted as in a .csv file."""
    return tuple(next(csv.reader([text], skipinitialspace=True), ()))


def _measures(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in _listed(text))
    if not names or "" in names:
        raise argparse.ArgumentTypeError(f"{text!r}: must be names separated by commas")
    if {"all", "main"} <= set(names):
        raise argparse.ArgumentTypeError(f"{text!r}: say all or main, not both")
    return names


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--alphas={text}: must be numbers separated by commas") from None
    if any(not 0 < number < float("inf") for number in numbers):
        raise UserError(f"--alphas={text}: must be positive")
    return tuple(dict.fromkeys((1.0, *numbers)))


def _groups(files: Sequence[str], named: Sequence[str]) -> dict[str, list[str]]:
    """Files of each group; a file given by itself is a group named after it."""
    groups: dict[str, list[str]] = {}
    for argument in named:
        name, separator, patterns = argument.partition("=")
        if not separator or not name:
            raise UserError(f"--group={argument}: must be NAME=FILES")
        for pattern in split_paths(patterns, matches):
            groups.setdefault(name, []).extend(_expand(pattern))
    files = [os.path.expanduser(file) for file in files]
    for file, name in zip(files, file_names(files, groups), strict=True):
        groups.setdefault(name, []).append(file)
    if not groups:
        raise UserError("give at least two prediction files, or --group NAME=FILES")
    repeated = [path for paths in groups.values() for path in paths]
    if len(set(repeated)) != len(repeated):
        twice = next(path for path in repeated if repeated.count(path) > 1)
        raise UserError(f"{twice}: is given twice")
    return groups


def _expand(pattern: str) -> list[str]:
    found = matches(pattern)
    if not found and is_pattern(pattern):
        raise UserError(f"{pattern}: no file matches")
    return found or [pattern]


def _say_if_runs(files: Sequence[str]) -> None:
    """Hints at --group where files are called seeds of one model but are compared as models."""
    by_start: dict[str, list[re.Match[str]]] = {}
    for file in files:
        if match := _RUN_OF.fullmatch(file):
            by_start.setdefault(match["start"], []).append(match)
    for start, (first, *others) in by_start.items():
        if others:
            pattern = f"{start}*{first['end']}"
            console.say(
                f"note: {first[0]} and {others[0][0]} are compared as two models; if they are runs "
                f"of one, say --group '{Path(first['model']).name or 'NAME'}={pattern}'"
            )


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
