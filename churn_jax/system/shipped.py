"""Configs and studies that come with the package, found by name: `digits`, `table2`.

In a checkout they lie in `configs/`; an installed package has a copy inside itself.
"""

import os
from pathlib import Path

from churn_jax.errors import UserError, suggest

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE.parent / "configs", _PACKAGE / "shipped_configs")
CONFIGS, STUDIES = "", "studies"


def find(name: str, kind: str) -> str:
    """The path of the file that `name` means.

    What exists, or looks like a path, is itself; `~` is the home folder.

    Args:
      name: a path, or the name of a shipped file without `.py`.
      kind: CONFIGS or STUDIES.

    Raises:
      UserError: it is neither.
    """
    path = os.path.expanduser(name)
    if os.path.exists(path):
        return path
    if not path.isidentifier():
        return _elsewhere(path)
    for place in _PLACES:
        if os.path.isfile(file := place / kind / f"{path}.py"):
            return str(file)
    flag = "--study" if kind == STUDIES else "--config"
    hint = suggest(name, names(kind))
    raise UserError(f"{flag}={name}: no such file, and none of that name is shipped{hint}")


def names(kind: str) -> list[str]:
    """What `find` knows by name."""
    place = next((place / kind for place in _PLACES if (place / kind).is_dir()), None)
    return sorted(file.stem for file in place.glob("*.py")) if place else []


def _elsewhere(path: str) -> str:
    """`configs/digits.py` outside a checkout is the package's own."""
    parts = Path(path).parts
    if parts[:1] == ("configs",) and os.path.isfile(file := _PLACES[1].joinpath(*parts[1:])):
        return str(file)
    return path
