"""Names that files register, and how another process finds them again."""

import importlib.metadata

import pytest

from churn_jax.errors import UserError
from churn_jax.system import registry
from churn_jax.system.registry import Registry, Source


@pytest.fixture
def things(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRIES", {})
    return Registry("thing", {"old": 1})


FILE = "from churn_jax.system import registry\nregistry._REGISTRIES['thing'].register('new', 2)\n"


def recorded(file):
    registry.run_file(file)
    (source,) = registry.sources([("thing", "new"), ("thing", "old"), ("other", "x")])
    return source


def test_a_file_is_remembered_and_found_again(things, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    source = recorded(file)
    assert (source.file, source.names) == (str(file), (("thing", "new"),))
    assert registry.read_sources([source.to_json()]) == [source]
    assert registry.changed(source) is None

    Registry("thing", {"old": 1})  # as another process begins
    registry.recall(source, "W")
    assert registry.changed(source) is None
    file.write_text(FILE + "# another\n")
    assert "have changed since: now by" in registry.changed(source)

    Registry("thing", {})
    file.rename(tmp_path / "moved.py")
    with pytest.raises(UserError, match=r"W: the thing 'new' was registered by .*mine\.py, which"):
        registry.recall(source, "W")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path / "here")
    registry.recall(source, "W")
    assert registry.changed(source) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import this_is_not_there\n", "line 1: ModuleNotFoundError"),
        ("\n1 / 0\n", "line 2: ZeroDivisionError"),
        ("def (:\n", "SyntaxError"),
        ("", "does not register the thing 'new' any more"),
    ],
)
def test_a_file_that_does_not_register_is_one_line(things, tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UserError, match=said) as refused:
        registry.recall(Source(str(file), "0", (("thing", "new"),)), "W")
    assert str(file) in str(refused.value)


def test_a_taken_name_is_refused_and_the_same_file_may_register_again(things, tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(FILE)
    registry.run_file(tmp_path / "a.py")
    registry.run_file(tmp_path / "a.py")
    with pytest.raises(UserError, match=r"a thing 'new' already, of .*a\.py"):
        registry.run_file(tmp_path / "b.py")
    with pytest.raises(UserError, match="'old' already, of the package itself"):
        things.register("old", 3)
    for wrong in ("", "a/b", "a,b", 3):
        with pytest.raises(UserError, match="is no name for a thing"):
            things.register(wrong, 3)


def test_an_unknown_name_asks_installed_packages(things, tmp_path, monkeypatch):
    (tmp_path / "offered.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("mine", "offered", "churn_jax")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    monkeypatch.setattr(registry, "_entry_points_imported", False)
    assert "new" in things
    assert things.find("new", "config.thing") == 2
    assert set(things.or_none) == {"none", "old", "new"}
    with pytest.raises(UserError, match=r"config\.thing: unknown thing 'nw' \(did you mean 'new'"):
        things.find("nw", "config.thing")


def test_what_a_session_registered_is_asked_for(things):
    exec(compile(FILE, "<input>", "exec"), {})
    (source,) = registry.sources([("thing", "new")])
    assert (source.file, source.sha256) == ("<input>", "")
    Registry("thing", {})
    with pytest.raises(UserError, match="registered by <input>, which is not there"):
        registry.recall(source, "W")
