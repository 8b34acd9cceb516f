"""Names are anybody's: what they hold reaches no terminal, page or document as it is."""

import html.parser
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare

RED, TURNED, BELL = "\x1b[31m", "\u202e", "\x07"
NASTY = (
    f"<script>alert(1)</script>{RED}{TURNED}|`x`\n# Title\r\n- [l](http://e) ![i](http://e) "
    f"{BELL}&lt;"
)
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    names = np.array([f"{letter}{NASTY}" for letter in "abc"])
    labels = rng.integers(0, 3, 200)
    ids = np.array([f"{NASTY}{i}" for i in range(200)])

    def model():
        right = rng.random(200) < 0.8
        predictions = names[np.where(right, labels, (labels + 1) % 3)]
        return {"predictions": predictions, "labels": names[labels], "ids": ids}

    slices = {f"by{NASTY}": np.where(np.arange(200) < 100, f"x{NASTY}", f"y{NASTY}")}
    groups = {f"old{NASTY}": model(), f"new{NASTY}": model()}
    return compare(groups, slices=slices, fail_if="churn>5%, nfr[*]>1%")


def test_a_terminal_gets_lines_and_nothing_else(result):
    from churn_jax import report as reports

    text = reports.to_terminal(result.report)
    assert not RAW.search(text)
    assert "\\x1b[31m\\u202e|`x`\\n# Title" in text
    assert not any(line.startswith(("# Title", "- [l]")) for line in text.splitlines())


def test_markdown_gets_no_html_links_or_lines(result):
    text = result.to_markdown()
    assert not RAW.search(text)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)`", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]}
    assert len(bars) == 1


def test_the_page_has_no_foreign_elements(result):
    found = []

    class Elements(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    page = result.to_html()
    Elements().feed(page)
    assert not RAW.search(page)
    scripts = [attributes.get("type") for tag, attributes in found if tag == "script"]
    assert scripts == ["application/json", "text/plain", None]  # two are data
    links = [
        attributes[key] for _, attributes in found for key in ("href", "src") if key in attributes
    ]
    assert not [link for link in links if "http" in link]


def test_junit_is_xml(result):
    suite = ElementTree.fromstring(result.to_junit().encode())
    assert not RAW.search(result.to_junit())
    assert suite.get("failures") == "2"
