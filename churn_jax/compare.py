"""Churn, calibration and their uncertainty between prediction files of any framework, and a gate.

    python -m churn_jax.compare OLD NEW
    python -m churn_jax.compare old.npz new.npz --labels=labels.npy --fail_if='churn>5%, nfr>1%'
    python -m churn_jax.compare old.npz new.npz --pass_if='accuracy_new>accuracy_old-0.5%'
    python -m churn_jax.compare --group 'old=runs/a/*.npz' --group 'new=runs/b/*.npz' --out=report

Files are .npz, .npy, .safetensors, .csv, .tsv, .parquet, or run folders of churn_jax. Each file is
a group of one run and each run folder a group of its runs, unless --group says otherwise. Exit code
0: the gate holds, or there is none; 1: it failed; 2: bad input; 3: it can't be decided; 70: a bug.
"""

from churn_jax.system import command_lines, startup
from churn_jax.system.commands import run_command

if __name__ == "__main__":
    command_lines.compare(__doc__).help_if_asked()
    startup.start()

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from etils import epath

from churn_jax import report as reports
from churn_jax.analysis.comparison import Comparison, compare
from churn_jax.analysis.inputs import file_names, is_file
from churn_jax.errors import UsageError, UserError, printable
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
        options = command_lines.compare(__doc__).parse_args(arguments)
        groups = _groups(options.files, options.group)
        result = _compare(options, groups)
        if out:
            read = [*_apart(options), *(path for paths in groups.values() for path in paths)]
            making = reports.made_by("churn_jax.compare", arguments, read)
            result.write(out, options.figures, making)
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


def _apart(options: argparse.Namespace) -> list[str]:
    """The files of labels, slices and weights."""
    weights = options.weights if is_file(options.weights or "") else None
    given = (options.labels, options.slices, weights)
    return [os.path.expanduser(path) for path in given if path]


def _compare(options: argparse.Namespace, groups: Mapping[str, Sequence[str]]) -> Comparison:
    if options.figures:
        if not options.out:
            raise UsageError("--figures: where? say --out=FOLDER, too")
        reports.refuse_without_matplotlib()
    _say_if_runs(options.files)
    if options.out:
        inputs = [path for paths in (*groups.values(), _apart(options)) for path in paths]
        reports.refuse_overwriting(os.path.expanduser(options.out), inputs)
    return compare(
        groups,
        options.labels,
        weights=options.weights,
        kind=options.kind,
        id=options.id,
        label=options.label,
        prediction=options.prediction,
        columns=options.columns,
        missing=options.missing,
        on=options.on,
        alphas=options.alphas,
        everything=options.measures.everything,
        measures=options.measures.asked,
        slices=options.slices,
        fail_if=options.fail_if,
        pass_if=options.pass_if,
        confident=options.confident,
        pass_undecided=options.undecided == "pass",
        paired=options.paired,
        score=options.score,
        filter=options.filter,
        positive=options.positive,
        threshold=options.threshold,
    )


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
