"""Every command that README and docs show has flags, configs, keys and files that there are.

Those of docs/compare.md and docs/extending.md run in tests of their own; what the others would
train takes minutes to days, so here they are read as the commands read them, and not run.
"""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from churn_jax.system import command_lines
from churn_jax.system.config_help import described

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^ *(?:\$ )?((?:[A-Z_]+=\S+ )*(?:python -m|bash) .*)", re.MULTILINE)
PARSERS = {
    name: getattr(command_lines, name) for name in ("compare", "evaluate", "export", "study")
}
FLAGS = {"main": {"config", "workdir"}, "plan": {"config", "topology", "json", "memory", "v"}}
KEYS = {key.name for key in described()}


def shown():
    """The commands of all pages, each on one line."""
    found = []
    for page in PAGES:
        for line in COMMAND.findall(page.read_text("utf-8").replace("\\\n", " ")):
            line = " ".join(re.sub(r"\s#.*", "", line).split())
            found.append(pytest.param(line, id=f"{page.name}: {line[:60]}"))
    return found


@pytest.mark.parametrize("line", shown())
def test_what_a_command_names_is_there(line):
    words = [w for w in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=\S*", w)]
    if words[0] == "bash":
        assert (ROOT / words[1]).is_file()
        return
    module, given = words[2], words[3:]
    if not module.startswith("churn_jax"):
        return
    name = module.partition(".")[2]
    keys = [word for word in given if word.startswith("--config.")]
    for word in keys:
        assert word[len("--config.") :].partition("=")[0] in KEYS
    rest = [word for word in given if word not in keys]
    for word in rest:
        path, _, chosen = word.partition("=")[2].partition(":")
        if word.startswith(("--config=", "--study=")) and "/" in path:
            assert (ROOT / path).is_file()
            if word.startswith("--config="):
                load(path, chosen)
    if name in PARSERS:
        PARSERS[name](None).parse_args(rest)
    else:
        assert {word.lstrip("-").partition("=")[0] for word in rest} <= FLAGS[name]


def load(path, chosen):
    """The config of a file, as `--config=FILE:CHOSEN` has it."""
    get_config = runpy.run_path(str(ROOT / path))["get_config"]
    return get_config(chosen) if chosen else get_config()
