"""What MkDocs does to the pages of docs/ on the way to the site (`mkdocs.yml`, `hooks`).

The pages are written for people who read them in the repository. On the site

- a line `[README: TITLE](../README.md#anchor)` becomes that section of the README;
- `<!-- config keys -->` and `<!-- measures -->` become tables made from the code;
- a link to a report's `study.md` goes to `study.html` beside it, the same with figures;
- a link that leaves docs/ goes to the README's section on the site, to the repository where
  `repo_url` says one, and is the file's name in plain type otherwise.
"""

import html
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from churn_jax.metrics.definitions import DEFINITIONS
from churn_jax.system import config_help

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<path>[^\s()#:]+)(?P<anchor>#[^\s()]*)?\)")
_SECTION = re.compile(r"^\[README: (?P<title>.+)\]\(\S*README\.md#(?P<anchor>\S+)\)$", re.M)
_INFO = re.compile(r"^(?P<fence> *```)(?P<language>\w+) (?P<mark>\S+)$", re.M)
_SCOPES = {
    "run": "Of one run",
    "pair": "Of two runs",
    "change": "Of a change from one group to another",
    "update": "Of an update and what it replaces",
    "set": "Of all runs of a group together",
}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page as the site has it.

    Raises:
      PluginError: a link leads to no file, or the README has no such section.
    """
    place = page.file.src_uri
    markdown = _SECTION.sub(lambda found: _section(found["title"], place), markdown)
    markdown = _INFO.sub(_without_mark, markdown)
    markdown = _LINK.sub(lambda link: _relinked(link, place, config.repo_url, files), markdown)
    for mark, table in (("config keys", _config_keys), ("measures", _measures)):
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", "\n".join(table()))
    return markdown


def _twin(path: str) -> str:
    return path.removesuffix(".md") + ".html"


def _section(title: str, place: str) -> str:
    """The README's section, its links as if it stood in the page at `place`."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.M | re.S)
    if not found:
        raise PluginError(f"docs/{place}: README.md has no section {title!r}")

    def moved(link: re.Match[str]) -> str:
        path = posixpath.relpath(link["path"], posixpath.dirname(f"docs/{place}"))
        return f"[{link['text']}]({path}{link['anchor'] or ''})"

    return f"## {title}\n{_LINK.sub(moved, found[1])}".rstrip()


def _without_mark(found: re.Match[str]) -> str:
    """A fence without what tests read in it, `exit=1`; `new=FILE` names the file of the block."""
    name = found["mark"].removeprefix("new=")
    title = "" if name == found["mark"] else f' title="{name}"'
    return f"{found['fence']}{found['language']}{title}"


def _relinked(link: re.Match[str], place: str, repo_url: str | None, files: Files) -> str:
    """A link as it must be in the page at `place`."""
    text, anchor = link["text"], link["anchor"] or ""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(place), link["path"]))
    if not (ROOT / path).exists():
        raise PluginError(f"docs/{place}: no file {path}, where the link {text!r} leads")
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
        shown = _twin(inside) if files.get_file_from_path(_twin(inside)) else inside
        return f"[{text}]({_from(place, shown)}{anchor})"
    if path == "README.md" and anchor:
        return f"[{text}]({_from(place, _holder(anchor, place))}{anchor})"
    if repo_url:
        return f"[{text}]({repo_url.rstrip('/')}/blob/main/{path}{anchor})"
    return f"`{path}`" if text in (path, link["path"]) else f"{text} (`{path}`)"


def _from(place: str, path: str) -> str:
    return posixpath.relpath(path, posixpath.dirname(place) or ".")


def _holder(anchor: str, place: str) -> str:
    """The page that holds the README's section of that anchor."""
    for file in sorted((ROOT / "docs").glob("*.md")):
        if any(f"#{found['anchor']}" == anchor for found in _SECTION.finditer(file.read_text())):
            return file.name
    raise PluginError(f"docs/{place}: no page of docs/ includes README.md{anchor}")


def _config_keys() -> Iterator[str]:
    """A table of every key of a config under each heading: `data`, `model`, …"""
    groups: dict[str, list[config_help.Key]] = {}
    for key in config_help.described():
        groups.setdefault(key.name.rpartition(".")[0], []).append(key)
    for group, keys in groups.items():
        yield f"\n## {group or 'The training as a whole'}\n"
        cells = (
            (_code(key.name), _code(key.kind), _code(key.default), html.escape(key.meaning))
            for key in keys
        )
        names = (key.name for key in keys)
        yield from _table(("key", "type", "default", "meaning"), names, cells)


def _measures() -> Iterator[str]:
    """A table of the measures of each scope: definitions and sources."""
    for scope, title in _SCOPES.items():
        chosen = {key: each for key, each in DEFINITIONS.items() if each.scope == scope}
        yield f"\n## {title}\n"
        cells = (
            (html.escape(each.title), _code(key), html.escape(each.text), html.escape(each.source))
            for key, each in chosen.items()
        )
        yield from _table(("measure", "in report.json", "definition", "source"), chosen, cells)


def _table(
    heads: Iterable[str], names: Iterable[str], rows: Iterable[Iterable[str]]
) -> Iterator[str]:
    """HTML, for cells hold bars and stars; each row has its name as an anchor."""
    yield f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>"
    for name, row in zip(names, rows, strict=True):
        cells = "".join(f"<td>{cell}</td>" for cell in row)
        yield f'<tr id="{html.escape(name)}">{cells}</tr>'
    yield "</tbody></table>"


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>" if text else ""
