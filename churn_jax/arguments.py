"""Command lines whose mistakes are one line, like every other bad input."""

import argparse
from typing import NoReturn

from churn_jax.errors import UserError


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError` instead of printing its usage."""

    def __init__(self, module: str, description: str | None):
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")
