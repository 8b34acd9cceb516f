"""Names that a config gives to code: the package's own, and anybody's.

A registry is a mapping that grows by `register`. What a file registers, its place and its hash are
known, so that a workdir can remember them (`remembered`) and another process find them again
(`recall`). Packages may offer names too, as entry points of the group `churn_jax`: modules that
register as they are imported, and are imported when a name is not known without them.
"""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from churn_jax.errors import UserError, suggest

T = TypeVar("T")
ENTRY_POINTS = "churn_jax"
_SHOWN = 12  # hex digits of a hash

# Every registry of this process, by what it holds.
_REGISTRIES: dict[str, "Registry[Any]"] = {}


class Registry(Mapping[str, T], Generic[T]):
    """What one kind of thing is called: {name: value}."""

    def __init__(self, noun: str, built_in: Mapping[str, T]):
        """`noun` says what it holds, as in 'there is no data set X'."""
        self.noun = noun
        self._values = dict(built_in)
        self._files: dict[str, str] = {}  # of those that are not built in
        _REGISTRIES[noun] = self

    def register(self, name: str, value: T) -> T:
        """Gives `value` a name that configs can say; returns `value`.

        The file that calls this may do so again, as when it is loaded twice, and then replaces what
        it gave.

        Raises:
          UserError: the name is taken by the package or by another file, or is no name.
        """
        if not isinstance(name, str) or not name or not name.isprintable() or set("/,=") & {*name}:
            raise UserError(f"register: {name!r} is no name for a {self.noun}")
        file = _calling_file()
        if name in self._values:
            other = self._files.get(name)
            if other is None or (other != file and _is_file(other)):
                owner = "the package itself" if other is None else other
                raise UserError(
                    f"register: there is a {self.noun} {name!r} already, of {owner}; take another "
                    "name"
                )
        self._values[name] = value
        self._files[name] = file
        return value

    def find(self, name: str, key: str) -> T:
        """The value of that name, for the config's `key`.

        Raises:
          UserError: there is none.
        """
        if name not in self:
            raise UserError(f"{key}: unknown {self.noun} {name!r}{suggest(name, self)}")
        return self[name]

    def file(self, name: str) -> str | None:
        """The file that registered a name; None for the package's own."""
        return self._files.get(name)

    @property
    def or_none(self) -> "OrNone":
        """These names and 'none', whatever is registered later."""
        return OrNone(self)

    def __getitem__(self, name: str) -> T:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._values:
            import_entry_points()
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclasses.dataclass(frozen=True, eq=False)
class OrNone(Collection[str]):
    """The names of a registry, and 'none'."""

    names: Registry[Any]

    def __contains__(self, name: object) -> bool:
        return name == "none" or name in self.names

    def __iter__(self) -> Iterator[str]:
        yield "none"
        yield from self.names

    def __len__(self) -> int:
        return 1 + len(self.names)


@dataclasses.dataclass(frozen=True)
class Source:
    """A file that registered what a config names.

    Attributes:
      file: its path, or what stands for one where a name was registered in an interactive session.
      sha256: of its bytes; empty where it is no file.
      names: (what it is, its name), sorted.
    """

    file: str
    sha256: str
    names: tuple[tuple[str, str], ...]

    def described(self) -> str:
        """`model 'mlp' and data set 'mine'`."""
        return " and ".join(f"{noun} {name!r}" for noun, name in self.names)

    def to_json(self) -> dict[str, Any]:
        """As config.json has it."""
        return {"file": self.file, "sha256": self.sha256, "names": [list(n) for n in self.names]}


def sources(named: Collection[tuple[str, str]]) -> list[Source]:
    """The files that registered those of the (noun, name) which are not the package's own."""
    by_file: dict[str, list[tuple[str, str]]] = {}
    for noun, name in named:
        registry = _REGISTRIES.get(noun)
        if registry is not None and (file := registry.file(name)):
            by_file.setdefault(file, []).append((noun, name))
    return [
        Source(file, _sha256(file), tuple(sorted(names))) for file, names in sorted(by_file.items())
    ]


def read_sources(listed: Any) -> list[Source]:
    """What `Source.to_json` has written."""
    return [
        Source(each["file"], each["sha256"], tuple((n[0], n[1]) for n in each["names"]))
        for each in listed
    ]


def changed(before: Source) -> str | None:
    """What to say where a file is not what it was when a workdir was begun; None if it is."""
    now = sources(before.names)
    if not before.sha256 or [source.sha256 for source in now] == [before.sha256]:
        return None
    there = ", ".join(f"{source.file} ({source.sha256[:_SHOWN]})" for source in now) or "nothing"
    return (
        f"{before.described()}: registered by {before.file} ({before.sha256[:_SHOWN]}), whose "
        f"contents have changed since: now by {there}"
    )


def recall(source: Source, workdir: str) -> None:
    """Registers again what `source` had, by running its file, unless this process knows it all.

    Raises:
      UserError: there is no such file, it can't be run, or doesn't register those names any more.
    """
    if _knows(source):
        return
    places = [Path(source.file), Path.cwd() / Path(source.file).name]
    file = next((place for place in places if source.sha256 and _is_file(str(place))), None)
    if file is None:
        raise UserError(
            f"{workdir}: the {source.described()} was registered by {source.file}, which is not "
            f"there; put {Path(source.file).name} into the current folder, or import it before"
        )
    run_file(file)
    if not _knows(source):
        raise UserError(f"{file}: does not register the {source.described()} any more")


def run_file(file: Path) -> None:
    """Runs a file of Python for what it registers.

    Its folder is on the path meanwhile, for what it imports.

    Raises:
      UserError: whatever it raises, with the line.
    """
    spec = importlib.util.spec_from_file_location(f"churn_jax_registered_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""
        raise UserError(f"{file}{where}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.parent))


_entry_points_imported = False


def import_entry_points() -> None:
    """Imports what installed packages offer, once a process.

    Raises:
      UserError: one that can't be imported.
    """
    global _entry_points_imported
    if _entry_points_imported:
        return
    _entry_points_imported = True
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"the entry point {entry.name!r} ({entry.value}) can't be imported: {error}"
            ) from error


def _knows(source: Source) -> bool:
    return all(noun in _REGISTRIES and name in _REGISTRIES[noun] for noun, name in source.names)


def _calling_file() -> str:
    """The file of the call that is registering: the first that is none of this package's."""
    package = f"{Path(__file__).parents[1]}/"
    frame = inspect.currentframe()
    assert frame is not None
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    file = frame.f_code.co_filename
    return str(Path(file).resolve()) if _is_file(file) else file


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if _is_file(file) else ""
