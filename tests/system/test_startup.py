"""Importing the package changes nothing in the process; `start` does, and says what."""

import json
import subprocess
import sys

from tests.fixtures.experiments import ROOT

IMPORT_ALL = """
import importlib, pkgutil
import churn_jax
names = [module.name for module in pkgutil.walk_packages(churn_jax.__path__, "churn_jax.",
                                                         onerror=print)]
for name in names:
    importlib.import_module(name)
"""

LIST_OTHERS = (
    IMPORT_ALL
    + """
import json, sys
print(json.dumps([name for name in sys.modules if name.split(".")[0] not in
                  ("churn_jax", "__main__")]))
"""
)

# What other packages change as they are imported is there before: the difference is ours.
COMPARE = """
import contextlib, faulthandler, gc, importlib, json, locale, logging, os, random, signal, sys
import threading, warnings
for name in json.loads(sys.argv[1]):
    with contextlib.suppress(Exception):
        importlib.import_module(name)
import cv2, jax, matplotlib, numpy as np
from absl import flags

def state():
    loggers = [logging.root, *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    return {
        "log levels": {x.name: (x.level, x.disabled, x.propagate, len(x.handlers), len(x.filters))
                       for x in loggers if x.level or x.disabled or x.handlers or x.filters},
        "all logging": logging.root.manager.disable,
        "garbage collection": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "environment": dict(os.environ),
        "absl flags": {name: flags.FLAGS[name].default for name in flags.FLAGS},
        "flags are parsed": flags.FLAGS.is_parsed(),
        "warnings filters": list(map(repr, warnings.filters)),
        "OpenCV threads": cv2.getNumThreads(),
        "signal handlers": {int(n): repr(signal.getsignal(n)) for n in signal.valid_signals()},
        "wakeup": (fd := signal.set_wakeup_fd(-1), signal.set_wakeup_fd(fd))[0],
        "threads": [thread.name for thread in threading.enumerate()],
        "hooks": [repr(hook) for hook in (sys.excepthook, threading.excepthook, sys.displayhook)],
        "streams": [repr(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.path, os.getcwd(),
                        faulthandler.is_enabled(), locale.setlocale(locale.LC_ALL)),
        "random": hash(random.getstate()),
        "NumPy": (np.random.get_state()[1].tobytes().hex(), np.geterr(), np.get_printoptions()),
        "jax.config": {name: getattr(jax.config, name) for name in dir(jax.config)
                       if name.startswith("jax_")},
        "matplotlib": dict(matplotlib.rcParams),
    }

before = state()
""" + IMPORT_ALL + """
after = state()
assert len(names) > 100, names
for kind in before:
    if before[kind] != after[kind]:
        print(kind, before[kind], after[kind])
"""  # fmt: skip


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_importing_every_module_changes_nothing():
    others = python(LIST_OTHERS)
    assert python(COMPARE, json.dumps(json.loads(others))) == ""


def test_start_is_what_prepares_a_process():
    code = """
import gc, logging, signal, sys
from churn_jax.system.startup import start
start(trains=True, checkpoints=True)
import cv2
import absl.logging
absl.logging.error("at length")
print(gc.get_threshold()[0], cv2.getNumThreads(), signal.getsignal(signal.SIGTERM).__module__,
      sys.excepthook.__name__)
"""
    assert python(code).split() == [
        "200000", "1", "churn_jax.system.interruption", "end_with_a_bug",
    ]  # fmt: skip


def test_training_starts_without_what_only_some_trainings_need():
    """Each of these takes a second or more to import."""
    code = "import sys, churn_jax.main, churn_jax.training.loop; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"sklearn", "pandas", "matplotlib", "tensorflow"} & set(done.stdout.split())
