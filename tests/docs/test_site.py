"""The documentation as a site: it is built without a warning, and every link leads somewhere."""

import dataclasses
import importlib
import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from churn_jax.config import Config
from churn_jax.metrics.definitions import DEFINITIONS

ROOT = Path(__file__).parents[2]


class Html(HTMLParser):
    """The links and anchors of a file."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {"", "__top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links += [found[key] for key in ("href", "src") if found.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{file: its links and anchors} of the built site, and its folder."""
    pytest.importorskip("material", reason="pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, {path: Html(path) for path in folder.rglob("*.html")}


def test_every_link_leads_to_a_file_of_the_site_and_an_anchor_in_it(site):
    folder, pages = site
    broken, checked = [], 0
    for page, html in pages.items():
        if page == folder / "404.html":
            continue  # served at any depth, so its links are the server's
        for link in html.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            held = pages[target].anchors if target in pages else {"", unquote(parts.fragment)}
            if not target.is_file() or unquote(parts.fragment) not in held:
                broken.append(f"{page.relative_to(folder)}: {link}")
            checked += 1
    assert broken == []
    assert checked > 1000


def test_pages_need_nothing_from_the_network(site):
    folder, _ = site
    styles = "".join(path.read_text() for path in folder.rglob("*.css"))
    assert "url(http" not in styles
    for page in folder.rglob("*.html"):
        for tag in ('<script src="http', '<link rel="stylesheet" href="http', '<img src="http'):
            assert tag not in page.read_text(), (page, tag)


def test_every_public_name_has_its_entry(site):
    folder, pages = site
    for name in ("metrics", "losses", "methods", "data", "compare"):
        anchors = pages[folder / f"api/{name}.html"].anchors
        module = f"churn_jax.{name}"
        for public in importlib.import_module(module).__all__:
            # A function may have the name of the module that holds it.
            assert anchors & {f"{module}.{public}", f"{module}.{public}.{public}"}, public
    others = {
        "evaluate": ["evaluate.evaluate"],
        "models": ["models.register", "models.build"],
        "trained": ["trained.load", "trained.TrainedModel", "trained.TrainedModel.predict"],
    }
    for name, publics in others.items():
        anchors = pages[folder / f"api/{name}.html"].anchors
        assert {f"churn_jax.{public}" for public in publics} <= anchors


def keys(config, prefix=""):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from keys(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def test_every_key_and_every_measure_is_there(site):
    folder, pages = site
    assert set(keys(Config())) <= pages[folder / "config_keys.html"].anchors
    assert set(DEFINITIONS) <= pages[folder / "measures.html"].anchors


def test_sections_of_the_readme_stand_where_their_links_are(site):
    folder, _ = site
    architecture = (folder / "architecture.html").read_text()
    assert "The members of a run never see each other's networks" in architecture
    assert 'href="extending.html"' in architecture
    assert "README: " not in architecture
    assert (
        'href="architecture.html#what-is-deterministic"'
        in (folder / "reliability.html").read_text()
    )


@pytest.fixture(scope="module")
def rewritten():
    """What becomes of a page's Markdown: a function of it, where it lies, and the repository."""
    files = pytest.importorskip("mkdocs.structure.files", reason="pip install -e '.[docs]'")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "launch/site_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    study = "results/digits/table1/study.html"
    known = files.Files([files.File(study, str(ROOT / "docs"), "site", use_directory_urls=False)])

    def rewrite(markdown, place="results/README.md", repo_url=None):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=place))
        return hooks.on_page_markdown(markdown, page, SimpleNamespace(repo_url=repo_url), known)

    return rewrite


@pytest.mark.parametrize(
    ("before", "repo_url", "after"),
    [
        ("[1](digits/table1/study.md#a)", None, "[1](digits/table1/study.html#a)"),
        ("[how](../update.md#methods)", None, "[how](../update.md#methods)"),
        ("[setup](../../setup.py)", None, "setup (`setup.py`)"),
        ("[setup.py](../../setup.py)", None, "`setup.py`"),
        ("[s](../../setup.py)", "https://a.b/c/", "[s](https://a.b/c/blob/main/setup.py)"),
        ("[x](../../README.md#how-it-works)", None, "[x](../architecture.md#how-it-works)"),
        ("```python new=a.py\n```", None, '```python title="a.py"\n```'),
        ("```bash exit=1\n```", None, "```bash\n```"),
        ("[far](https://a.b/c.md)", None, "[far](https://a.b/c.md)"),
    ],
)
def test_links_and_fences_become_right_for_the_site(rewritten, before, repo_url, after):
    assert rewritten(before, repo_url=repo_url) == after


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("[a](nowhere.md)", "docs/results/README.md: no file docs/results/nowhere.md"),
        ("[README: Nothing](../../README.md#nothing)", "README.md has no section 'Nothing'"),
        ("[a](../../README.md#nothing)", "no page of docs/ includes README.md#nothing"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused_with_its_page(rewritten, markdown, said):
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match=said):
        rewritten(markdown)
