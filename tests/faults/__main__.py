"""Tries all faults and prints a table of how often, and with what end.

    python -m tests.faults                                # minutes
    python -m tests.faults --short                        # what the tests run
    python -m tests.faults --only='disk|lock' --tries=50
    python -m tests.faults --page=docs/reliability.md     # puts the table there, too

Everything is done to processes of the operating system, and judged by the bytes they leave behind:
parameters, predictions, log and report must be those of commands that nothing happened to.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Tiny programs that run for a few steps: LLVM's optimiser would take most of the time.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"


def main() -> int:
    """The command; 1 if a fault was not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--short", action="store_true", help="one try of most faults")
    parser.add_argument("--tries", type=int, help="of each fault, instead of the suite's own")
    parser.add_argument("--only", default="", help="faults whose name this is found in")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="faults at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--page", type=Path, help="a Markdown page that has a place for the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{folder}/programs"
        rows, notes = _try_all(Path(folder), options)
    table = "\n".join(["| fault | tried | survived | data lost |", "|---|---|---|---|", *rows])
    print(f"\n{table}")
    for note in notes:
        print(f"\n{note}", file=sys.stderr)
    if options.page:
        command = " ".join(["python -m tests.faults", *sys.argv[1:]])
        _put(options.page, f"    {command}\n\n{table}")
    return bool(notes)


def _try_all(folder: Path, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    from churn_jax.training import provenance
    from tests.faults import suite
    from tests.faults.lab import Lab, Outcome

    provenance.code_version()  # remembered: it stays the same while the suite runs
    wanted = [
        (index, tries)
        for index, fault in enumerate(suite.FAULTS)
        if re.search(options.only, fault.name)
        if (tries := options.tries or (fault.short if options.short else fault.tries))
    ]
    lab = Lab(folder, options.seed, study=any("study" in suite.FAULTS[i].name for i, _ in wanted))
    rows, notes, total = [], [], Outcome()
    # Forks of this process, as the commands are: all that was imported is there.
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        tried = [pool.apply_async(suite.attempt, (lab, *each)) for each in wanted]
        for (index, _), ended in zip(wanted, tried, strict=True):
            outcome, name = ended.get(), suite.FAULTS[index].name
            rows.append(_row(name, outcome))
            print(rows[-1], file=sys.stderr, flush=True)
            notes += [f"{name}: {note}" for note in outcome.notes]
            total.add_all(outcome)
    return [*rows, _row("**all**", total)], notes


def _row(name: str, outcome: "Outcome") -> str:  # noqa: F821
    if outcome.skipped:
        return f"| {name} | skipped: {outcome.skipped} | | |"
    return f"| {name} | {outcome.tried} | {outcome.survived} | {outcome.lost} |"


def _put(page: Path, table: str) -> None:
    """Replaces what is between the page's marks."""
    marks = r"(<!-- faults -->\n).*?(<!-- end of faults -->)"
    text, count = re.subn(
        marks, lambda found: f"{found[1]}\n{table}\n\n{found[2]}", page.read_text(), flags=re.S
    )
    assert count == 1, f"{page} has no place for the table"
    page.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
