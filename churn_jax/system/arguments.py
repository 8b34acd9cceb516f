"""Command lines whose mistakes are one line, like every other bad input."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from churn_jax.errors import UsageError, UserError, suggest
from churn_jax.system import config_help, shipped

if TYPE_CHECKING:
    from absl import flags


def parse_flags(
    known: "flags.FlagValues", arguments: Sequence[str], required: Sequence[str], about: str | None
) -> dict[str, Any]:
    """Parses a command line of absl flags; returns the values of its --config.

    A --config that is no file but the name of one that comes with the package is that one. With
    --help it says what the command does, its flags and the keys of a config, and ends.

    Args:
      known: the command's flags.
      arguments: the command line, the program first.
      required: names of flags.
      about: what the command does.

    Raises:
      UserError: an unknown or missing flag, a wrong value, or a config that can't be loaded.
    """
    from absl import flags  # which what only compares has to do without

    if _HELP & set(arguments[1:]):
        print(_help(known, about))
        raise SystemExit(0)
    try:
        unknown = known([_as_meant(argument) for argument in arguments])[1:]
        if unknown:
            raise UserError(f"unexpected argument {unknown[0]!r}")
        for name in required:
            if known[name].value is None:
                raise UserError(f"--{name} is missing")
        config: Any = known["config"].value  # a file that can't be loaded is an error only now
        return config.to_dict()
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        _refuse_unknown_keys(arguments)
        raise UserError(_said(error)) from None


def _refuse_unknown_keys(arguments: Sequence[str]) -> None:
    """Raises a `UserError` for a `--config.KEY` that no config has."""
    keys = [key.name for key in config_help.described()]
    for argument in arguments:
        key = argument.partition("=")[0].removeprefix("--config.")
        if argument.startswith("--config.") and key not in keys:
            raise UserError(f"config.{key}: no such key{suggest(key, keys)}")


def _said(error: BaseException) -> str:
    """What went wrong first: what flags make of it has the whole traceback in its message."""
    first = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    if isinstance(first, UserError):
        return str(first)
    if _IN_CONFIG_FILE not in str(error):
        return str(error)
    frames = traceback.extract_tb(first.__traceback__)
    place = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    return f"--config: {place}{type(first).__name__}: {first}"


_IN_CONFIG_FILE = "Error whilst parsing config file"
_HELP = {"-h", "--help", "-help", "--helpfull"}
# Of its logging, which nobody who asks for help looks for.
_OF_ABSL = {
    *("logtostderr", "alsologtostderr", "log_dir", "verbosity", "logger_levels"),
    *("stderrthreshold", "showprefixforinfo"),
}


def own_flags(known: "flags.FlagValues") -> list[str]:
    """The names of a command's flags, without those of absl's logging."""
    return [name for name in known if known[name].help and known[name].name not in _OF_ABSL]


def _help(known: "flags.FlagValues", about: str | None) -> str:
    lines = [(about or "").strip(), "", "flags:"]
    for flag in map(known.__getitem__, own_flags(known)):
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join([*lines, "", config_help.text()])


def _as_meant(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name == "--config" and equals:
        file, colon, rest = value.partition(":")
        return f"{name}={shipped.find(file, shipped.CONFIGS)}{colon}{rest}"
    return _expand_home(argument)


def _expand_home(argument: str) -> str:
    """`--workdir=~/runs` with the home folder, which a shell leaves to the command there."""
    name, equals, value = argument.partition("=")
    # Keys of a config stay as they are, for its workdir keeps them.
    if not equals or "." in name or not value.startswith("~"):
        return argument
    return f"{name}={os.path.expanduser(value)}"


class _Once(argparse.Action):
    """Stores a value; a second one would silently take its place, and is refused."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("given", set())
        if option_string is not None and self.dest in given:
            parser.error(f"{option_string} is there twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError` instead of printing its usage."""

    def __init__(self, module: str, description: str | None, add_help: bool = True):
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=add_help,
            allow_abbrev=False,
        )
        self.register("action", None, _Once)

    def help_if_asked(self) -> None:
        """Answers --help of this process and ends; call before the imports of what works."""
        if {"-h", "--help"} & set(sys.argv[1:]):
            self.print_help()
            raise SystemExit(0)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")
