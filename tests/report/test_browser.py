"""The page in a real browser: all loads, nothing is fetched, the ledger sorts, filters, saves."""

import csv
import itertools
import re

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.report.flips import KINDS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of two groups of three runs."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 4)) * 2
    groups = {}
    for name, noise in (("old", 1.0), ("new", 0.5)):
        logits = shared + noise * rng.normal(size=(3, 300, 4))
        groups[name] = list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    out = tmp_path_factory.mktemp("report")
    slices = {"half": np.where(np.arange(300) < 100, "left", "right")}
    compare(groups, shared.argmax(1), fail_if="churn>0.9", slices=slices).write(out)
    return (out / "report.html").as_uri()


def test_nothing_failed_to_load_and_nothing_was_fetched(browser, page):
    browser.get(page)
    assert browser.title.startswith("Churn")
    assert browser.get_log("browser") == []
    resources = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert [name for name in resources if not name.startswith("data:")] == []
    broken = "return [...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert len(browser.find_elements("css selector", "svg")) >= 4


@pytest.mark.parametrize("size", [(390, 844), (1280, 900)])
def test_the_page_is_no_wider_than_the_window(browser, page, size):
    browser.set_window_size(*size)
    browser.get(page)
    wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wider) <= 0


def test_the_ledger_sorts_and_filters_by_keyboard(browser, page):
    browser.get(page)

    def column(i):
        rows = browser.find_elements("css selector", "#ledger-table tbody tr")
        return [row.find_elements("css selector", "th, td")[i].text for row in rows[:50]]

    header = browser.find_elements("css selector", "#ledger-table th button")[0]
    header.send_keys("\n")
    descending = column(0)
    assert descending == sorted(descending, key=int, reverse=True)
    assert header.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    header.send_keys("\n")
    assert column(0) == sorted(column(0), key=int)
    assert "ascending" in browser.find_element("id", "ledger-status").text
    wanted = descending[0]
    browser.find_element("id", "ledger-filter").send_keys(wanted)
    found = shown(browser)
    assert wanted in [row[0] for row in found]
    assert len(found) < len(descending)


def shown(browser):
    """The rows that the ledger shows, as texts of their cells."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#ledger-table tbody tr:not([hidden])')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )


def status(browser):
    return browser.find_element("id", "ledger-status").text


def test_the_ledger_filters_by_kind_class_and_text(browser, page):
    browser.get(page)
    every = shown(browser)
    kinds = [row[1] for row in every]
    assert kinds == sorted(kinds, key=list(KINDS.values()).index)
    assert status(browser) == f"{len(every)} examples shown."
    for button in browser.find_elements("css selector", "#ledger-kinds button[data-kind]"):
        button.send_keys(" ")
        wanted = KINDS.get(button.get_attribute("data-kind"))
        rows = [row for row in every if wanted in (None, row[1])]
        assert shown(browser) == rows
        assert button.get_attribute("aria-pressed") == "true"
        assert len(browser.find_elements("css selector", "[aria-pressed=true]")) == 1
        count = f"{len(rows)} of {len(every)}" if wanted else str(len(every))
        assert status(browser) == f"{count} examples shown."
    good = browser.find_element("css selector", "#ledger-kinds [data-kind=good]")
    good.send_keys(" ")
    select = browser.find_element("id", "ledger-class")
    select.find_element("css selector", "option[value='2']").click()
    rows = [row for row in every if row[1].startswith("good") and row[4] == "2"]
    assert shown(browser) == rows != []
    browser.find_element("id", "ledger-filter").send_keys("nothing like it")
    assert shown(browser) == []
    assert status(browser) == f"0 of {len(every)} examples shown."
    assert not browser.find_element("id", "ledger-csv").is_enabled()


def test_links_lead_to_the_flips_of_a_class_and_to_the_bad_ones(browser, page):
    browser.get(page)
    browser.find_element("id", "ledger-filter").send_keys("nothing like it")
    link = browser.find_element("css selector", "#where a[data-class]")
    name = link.text
    link.send_keys("\n")
    assert {row[4] for row in shown(browser)} == {name}
    assert browser.find_element("id", "ledger-class").get_attribute("value") == name
    assert browser.current_url.endswith("#ledger")
    browser.find_element("css selector", ".verdict a[data-kind=bad]").send_keys("\n")
    assert {row[1] for row in shown(browser)} == {KINDS["bad"]}
    assert len({row[4] for row in shown(browser)}) > 1


def test_what_is_shown_can_be_saved(browser, page):
    browser.get(page)
    browser.find_element("css selector", "#ledger-kinds [data-kind=bad]").click()
    browser.execute_script("""
        HTMLAnchorElement.prototype.click = function () { window.saved = this; };
        URL.revokeObjectURL = () => {};
    """)
    browser.find_element("id", "ledger-csv").click()
    name, text = browser.execute_async_script("""
        const done = arguments[0];
        const { href, download } = window.saved;
        fetch(href).then((r) => r.text()).then((text) => done([download, text]));
    """)
    assert name == "flips.csv"
    header, *rows = csv.reader(text.splitlines())
    assert header == ["id", "kind", "disagreement", "mean γ", "label", "old", "new"]
    there = shown(browser)
    assert [row[0] for row in rows] == [row[0] for row in there]
    assert {row[1] for row in rows} == {KINDS["bad"]}
    for row, cells in zip(rows, there, strict=True):
        assert round(100 * float(row[2])) == int(cells[2].removesuffix(" %"))
        assert row[5] == " ".join(cells[5].replace("✓", "").replace("✗", "").split())


def test_screen_readers_find_their_way(browser, page):
    browser.get(page)
    unnamed = browser.execute_script("""
        const named = (e) => e.ariaLabel || e.textContent.trim() || e.labels?.length;
        const all = "svg[role=img], [role=region], input, th[scope] button";
        return [...document.querySelectorAll(all)].filter((e) => !named(e)).length;
    """)
    assert unnamed == 0
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert browser.execute_script("return document.documentElement.lang") == "en"


def test_rows_that_the_script_draws_are_those_of_the_page(browser, page):
    """Whoever has no script reads the same."""
    browser.get(page)
    there = browser.execute_script("return document.querySelector('#ledger-table tbody').innerHTML")
    browser.find_element("id", "ledger-all").send_keys(" ")
    again = browser.execute_script("return document.querySelector('#ledger-table tbody').innerHTML")

    def plain(text):
        text = re.sub(r"\s+", " ", re.sub(r">\s+<", "><", text)).strip()
        return re.sub(r"--right: ?(\d+%);?", r"\1", text)

    assert plain(again) == plain(there)


def test_by_keyboard_from_a_number_to_its_figure_to_an_example(browser, page):
    """Tab and Enter alone, and where one is can be seen."""
    browser.get(page)
    keys = webdriver_keys()

    def tab_to(wanted):
        for _ in range(60):
            browser.switch_to.active_element.send_keys(keys.TAB)
            focused = browser.switch_to.active_element
            assert float(focused.value_of_css_property("outline-width").removesuffix("px")) > 0
            if wanted(focused):
                return focused
        raise AssertionError("not to be reached")

    tile = tab_to(lambda element: element.text == "Churn")
    tile.send_keys(keys.ENTER)
    assert browser.current_url.endswith("#where")
    move = tab_to(lambda element: element.get_attribute("data-from"))
    move.send_keys(keys.ARROW_DOWN)
    move = browser.switch_to.active_element
    old, new = (move.get_attribute(f"data-{end}") for end in ("from", "to"))
    move.send_keys(keys.ENTER)
    focused = browser.switch_to.active_element
    assert focused.tag_name == "tr"
    assert float(focused.value_of_css_property("outline-width").removesuffix("px")) > 0
    rows = shown(browser)
    assert focused.text.split()[0] == rows[0][0]
    assert all(old in row[5] and new in row[6] for row in rows)
    assert status(browser).endswith(f"examples shown: from {old} to {new}.")


def test_slices_and_figures_lead_to_their_flips(browser, page):
    browser.get(page)
    browser.find_element("css selector", "a[data-slice=left]").send_keys("\n")
    ids = [int(row[0]) for row in shown(browser)]
    assert max(ids) < 100
    assert len(ids) < 100
    select = browser.find_element("id", "ledger-slice")
    select.find_element("css selector", "option:last-child").click()
    assert min(int(row[0]) for row in shown(browser)) >= 100
    browser.find_element("css selector", "#near_ties a").send_keys("\n")
    gaps = [float(row[3]) for row in shown(browser)]
    assert gaps == sorted(gaps)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two models of 3,000 examples and 60 classes that agree on a tenth of them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 60, 3000)
    old = np.where(rng.random(3000) < 0.4, labels, rng.integers(0, 60, 3000))
    new = np.where(rng.random(3000) < 0.1, old, rng.integers(0, 60, 3000))
    out = tmp_path_factory.mktemp("large")
    compare({"old": old, "new": new}, labels).write(out)
    return (out / "report.html").as_uri(), labels, old, new


def test_of_thousands_each_is_found_and_counts_are_whole(browser, large):
    uri, labels, old, new = large
    browser.get(uri)
    changed = int((old != new).sum())
    assert status(browser) == f"{changed:,} examples, the first 200 shown."
    assert len(shown(browser)) == 200
    browser.find_element("id", "ledger-more").send_keys(" ")
    assert 400 <= len(shown(browser)) < changed  # scrolling to the end draws more, too
    bad = int(((old == labels) & (new != labels)).sum())
    button = browser.find_element("css selector", "#ledger-kinds [data-kind=bad]")
    assert button.text.endswith(f": {bad:,}")
    button.send_keys(" ")
    assert status(browser).startswith(f"{bad:,} of {changed:,} examples, the first ")
    browser.find_element("id", "ledger-class").send_keys("37")
    wanted = np.flatnonzero((old == labels) & (new != labels) & (labels == 37))
    assert sorted(int(row[0]) for row in shown(browser)) == wanted.tolist()
    browser.find_element("id", "ledger-all").send_keys(" ")
    rare = int(np.flatnonzero(old != new)[-1])
    browser.find_element("id", "ledger-filter").send_keys(str(rare))
    assert str(rare) in {row[0] for row in shown(browser)}


def webdriver_keys():
    return pytest.importorskip("selenium.webdriver.common.keys").Keys
