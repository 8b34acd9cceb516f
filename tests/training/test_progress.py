"""The bar of a terminal; logs have lines alone."""

import io
import time

import numpy as np
import pytest

from churn_jax.training.progress import Progress


class Screen(io.StringIO):
    """A terminal; `lines` are what it shows in the end."""

    terminal = True

    def isatty(self):
        return self.terminal

    def lines(self):
        shown = []
        for line in self.getvalue().split("\n"):
            # A carriage return writes over what stands there, and \x1b[K erases what is left of it.
            parts = [part.partition("\x1b[K") for part in line.split("\r")]
            text = ""
            for before, erased, after in parts:
                text = before + (after if erased else text[len(before) :])
            shown.append(text)
        return shown


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    return Screen()


def trained(steps):
    progress = Progress("baseline", 0, 100, 8)
    progress.start(0)
    for step in range(1, steps + 1):
        progress.tick(step)
        if step == 25:
            progress.report(step, {"accuracy": np.full((2, 1), 0.5)})
    return progress


def test_the_bar_stands_below_the_lines_and_goes(screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", screen)  # pytest puts its own there before each test
    progress = trained(50)
    *lines, bar = screen.lines()
    assert lines[0] == "compiling the step …"
    assert lines[-1].startswith("baseline  step 25/100 (25%)")
    assert lines[-1].endswith("accuracy 0.5000")
    assert bar.startswith("baseline " + "█" * 12 + "░" * 12 + " 50%")
    assert len(bar) < 60
    progress.pause()
    assert screen.lines() == [*lines, ""]


@pytest.mark.parametrize("why", ["log", "dumb"])
def test_what_can_erase_no_line_gets_none(screen, monkeypatch, why):
    monkeypatch.setattr("sys.stderr", screen)
    screen.terminal = why != "log"
    monkeypatch.setenv("TERM", "dumb")
    trained(50)
    assert "█" not in screen.getvalue()
    assert "\r" not in screen.getvalue()
    assert len(screen.lines()) == 4  # compiling, the first step, the report, and no more
