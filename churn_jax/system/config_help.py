"""What `--help` says of a config's keys: read off the schema's own text, so that it starts at once.

A key stands in the schema with its type and default, and what it means in the comment above it or
beside it. Importing the schema would bring JAX.
"""

import ast
import functools
import io
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).parents[1]
_ROOT = "Config"
_SCHEMA = ("config/schema.py", "methods/objectives.py")
_OF_METHODS = ("schedules", "views", "anchors", "optimizers")
_CHOICES = (*_SCHEMA, *(f"methods/{name}.py" for name in _OF_METHODS), "random_streams.py")
_WIDTH = 100


class Key(NamedTuple):
    """One key of a config: its type, its default as Python writes it, and what there is to say."""

    name: str
    kind: str
    default: str
    meaning: str


def text() -> str:
    """The keys as lines of a command's help."""
    lines = ["keys of the config, with their defaults:"]
    for key in described():
        lines.append(f"  --config.{key.name}={key.default}")
        said = f"{key.kind}{'; ' * bool(key.meaning)}{key.meaning}"
        lines += textwrap.wrap(said, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def described() -> list[Key]:
    """Every key, in the order of the schema, dotted as on a command line."""
    classes: dict[str, list[Key]] = {}
    for file in _SCHEMA:
        classes |= _fields(_PACKAGE / file)
    found = []
    for key in classes[_ROOT]:
        if key.kind in classes:
            found += [each._replace(name=f"{key.name}.{each.name}") for each in classes[key.kind]]
        else:
            found.append(key)
    return found


def _fields(path: Path) -> dict[str, list[Key]]:
    """{class: its fields}."""
    source = path.read_text()
    lines, comments = source.splitlines(), _comments(source)
    return {
        node.name: [
            _key(each, lines, comments)
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        ]
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def _comments(source: str) -> dict[int, str]:
    """{line: its comment}."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _key(node: ast.AnnAssign, lines: list[str], comments: dict[int, str]) -> Key:
    assert isinstance(node.target, ast.Name)
    said: list[str] = []
    line = node.lineno - 1
    while lines[line - 1].lstrip().startswith("#"):
        said.insert(0, comments[line])
        line -= 1
    said += [comments[place] for place in (node.lineno, node.end_lineno) if place in comments]
    kind, bounds = node.annotation, []
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Annotated":
        assert isinstance(kind.slice, ast.Tuple)
        kind, *rules = kind.slice.elts
        bounds = [_bound(rule) for rule in rules]
    default = "" if node.value is None else ast.unparse(node.value)
    meaning = " ".join(dict.fromkeys(said)).rstrip(".")
    described = "; ".join(filter(None, [*bounds, meaning]))
    return Key(node.target.id, ast.unparse(kind), default, described)


def _bound(rule: ast.expr) -> str:
    """What a bound says: `Within(0, 1)` as `0 to 1`."""
    assert isinstance(rule, ast.Call)
    match ast.unparse(rule.func):
        case "Within":
            low, *high = (ast.unparse(_assigned().get(ast.unparse(e), e)) for e in rule.args)
            return f"{low} to {high[0]}" if high else f"at least {low}"
        case "OneOf":
            return "one of " + ", ".join(name or "''" for name in _choices(rule.args[0]))
        case "Positive":
            return "above 0"
    return ""


def _choices(node: ast.expr) -> Iterator[str]:
    """The texts of a tuple, or the keys of a dict, through the names that stand for others."""
    match node:
        case ast.Constant():
            yield str(node.value)
        case ast.Starred():
            yield from _choices(node.value)
        case ast.Tuple() | ast.List():
            for each in node.elts:
                yield from _choices(each)
        case ast.Dict():
            for key in filter(None, node.keys):
                yield from _choices(key)
        case ast.DictComp():  # of the names that it goes through
            yield from _choices(node.generators[0].iter)
        case ast.Call():  # tuple(NAMES), Registry(NOUN, NAMES)
            yield from _choices(node.args[-1])
        case ast.Attribute(attr="or_none"):  # of a registry
            yield "none"
            yield from _choices(node.value)
        case ast.Name() | ast.Attribute():
            yield from _choices(_assigned()[ast.unparse(node).rpartition(".")[2]])


@functools.cache
def _assigned() -> dict[str, ast.expr]:
    """What the modules of the schema's choices call their constants."""
    found: dict[str, ast.expr] = {}
    for file in _CHOICES:
        for node in ast.parse((_PACKAGE / file).read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                found[ast.unparse(node.target)] = node.value
    return found
