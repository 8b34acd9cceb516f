"""The page in a real browser: everything loads, nothing is fetched, and the ledger sorts."""

import itertools
import shutil
import tempfile

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
    compare(groups, shared.argmax(1), fail_if="churn>0.9").write(out)
    return (out / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (chromium := shutil.which("chromium")) or not (driver := shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(driver)
        found = webdriver.Chrome(options=options, service=service)
        yield found
        found.quit()


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
    shown = browser.find_elements("css selector", "#ledger-table tbody tr:not([hidden])")
    assert wanted in [row.find_element("css selector", "th").text for row in shown]
    assert len(shown) < len(descending)


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
