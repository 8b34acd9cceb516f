"""Command lines whose mistakes are one line, like every other bad input."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from churn_jax.errors import UsageError, UserError

if TYPE_CHECKING:
    from absl import flags


def parse_flags(
    known: "flags.FlagValues", arguments: Sequence[str], required: Sequence[str]
) -> dict[str, Any]:
    """Parses a command line of absl flags; returns the values of its --config.

    Raises:
      UserError: an unknown or missing flag, a wrong value, or a config that can't be loaded.
    """
    from absl import flags  # which what only compares has to do without

    try:
        unknown = known([_expand_home(argument) for argument in arguments])[1:]
        if unknown:
            raise UserError(f"unexpected argument {unknown[0]!r}")
        for name in required:
            if known[name].value is None:
                raise UserError(f"--{name} is missing")
        config: Any = known["config"].value  # a file that can't be loaded is an error only now
        return config.to_dict()
    except UserError:
        raise
    except KeyError as error:  # str() would quote the message
        raise UserError(error.args[0]) from None
    except (flags.Error, AttributeError, TypeError, ValueError, OSError) as error:
        raise UserError(str(error)) from None


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

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")
