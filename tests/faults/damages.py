"""Damage to files and folders."""

import shutil
from pathlib import Path


def largest_file(folder: Path) -> Path:
    """The file of a checkpoint that holds most of it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove(file: Path) -> None:
    file.unlink()


def half_delete(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "state")


def tear_last_line(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def add_garbage(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"\0" * 100 + b"\n{\n")
