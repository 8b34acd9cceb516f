"""How large a report's page is and how soon it is there: 50,000 examples × 1,000 classes.

    python benchmarks/page.py --out=docs/benchmarks

Writes predictions of two groups of made-up runs (200 MB each by default) into a temporary folder,
compares them as a user would, and opens the page in headless Chromium. First paint and what the
ledger takes are the least of several, as other work on the machine only adds to them. Needs
selenium, Chromium and chromedriver.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
READY = "return 'ready' in document.body.dataset"
# Milliseconds of what people do; each begins with every row and all filters off.
DEEDS = {
    "a class": "change('class', 'n00000037')",
    "bad flips": "press('#ledger-kinds [data-kind=bad]')",
    "a search": "change('filter', '00123')",
    "sort by id": "press('th[data-column=id] button')",
    "class to class": "press('a[data-from]')",
}
HELPERS = """
    const press = (selector) => document.querySelector(selector).click();
    const change = (id, value) => {
      const field = document.getElementById(`ledger-${id}`);
      field.value = value;
      field.dispatchEvent(new Event('input'));
    };
    press('#ledger-all');
    const began = performance.now();
    DEED;
    document.body.offsetHeight;
    const took = performance.now() - began;
    return [took, document.getElementById('ledger-status').textContent];
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("examples", 50_000), ("classes", 1_000), ("runs", 5), ("repeats", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", help="of the predictions and the report, to be kept")
    parser.add_argument("--out", type=Path, help="folder for page.json and page.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        write(folder, options.examples, options.classes, options.runs)
        seconds = compare(folder)
        page = folder / "report/report.html"
        found = {
            "examples": options.examples, "classes": options.classes, "runs": options.runs,
            "processor": processor(), "cpu_seconds": seconds, "bytes": page.stat().st_size,
            **measured(page.resolve().as_uri(), options.repeats),
        }  # fmt: skip
    print(table(found))
    if options.out:
        (options.out / "page.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.out / "page.md").write_text(table(found))


def write(folder: Path, examples: int, classes: int, runs: int) -> None:
    """Two groups of runs that differ by noise on shared logits; near classes are alike."""
    rng = np.random.default_rng(0)
    labels, rows = rng.integers(0, classes, examples), np.arange(examples)
    shared = rng.standard_normal((examples, classes), dtype=np.float32)
    shared[rows, labels] += rng.normal(8, 2.4, examples).astype(np.float32)
    for step in (1, 2, -1, -2, 5):
        alike = (labels + step) % classes
        shared[rows, alike] += rng.normal(3.6, 1.6, examples).astype(np.float32)
    known = {
        "labels": labels,
        "ids": np.array([f"validation_{row:08d}" for row in rows]),
        "class_names": np.array([f"n{index:08d}" for index in range(classes)]),
    }
    for group, noise in (("old", 1.2), ("new", 0.9)):
        for run in range(runs):
            path = folder / f"{group}_{run}.npz"
            values = shared + noise * rng.standard_normal(shared.shape, dtype=np.float32)
            values -= np.log(np.exp(values).sum(1, keepdims=True))
            if not path.exists():
                np.savez(path, log_probs=values, **known)


def compare(folder: Path) -> float:
    """Seconds of CPU that the comparison takes."""
    groups = [f"--group={name}={folder}/{name}_*.npz" for name in ("old", "new")]
    command = [sys.executable, "-m", "churn_jax.compare", *groups, f"--out={folder}/report"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(page: str, repeats: int) -> dict[str, Any]:
    """What the browser says: milliseconds, the least of several."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    paints, ready, deeds = [], [], {name: [] for name in DEEDS}
    said: dict[str, str] = {}
    try:
        for _ in range(repeats):
            browser.get("about:blank")
            browser.get(page)
            while not browser.execute_script(READY):
                pass
            entries = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            paints.append(browser.execute_script(f"return {entries}"))
            ready.append(browser.execute_script("return +document.body.dataset.ready"))
            for name, deed in DEEDS.items():
                took, said[name] = browser.execute_script(HELPERS.replace("DEED", deed))
                deeds[name].append(took)
    finally:
        browser.quit()
    return {
        "first_paint_ms": min(paints),
        "ledger_ready_ms": min(ready),
        "ledger_ms": {name: [min(took), said[name]] for name, took in deeds.items()},
    }


def table(found: dict[str, Any]) -> str:
    """What was measured, in Markdown."""
    size = (
        f"{found['examples']:,} examples × {found['classes']:,} classes, 2 × {found['runs']} runs"
    )
    rows: Sequence[tuple[str, str]] = [
        ("page", f"{found['bytes'] / 1e6:.2f} MB"),
        ("first paint", f"{found['first_paint_ms']:.0f} ms"),
        ("ledger ready", f"{found['ledger_ready_ms']:.0f} ms"),
        *(
            (f"ledger: {name}", f"{took:.0f} ms ({said})")
            for name, (took, said) in found["ledger_ms"].items()
        ),
        ("comparison", f"{found['cpu_seconds']:.0f} s of CPU"),
    ]
    lines = [f"{size}; {found['processor']}, headless Chromium.", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def processor() -> str:
    """Its name, and how many of its threads this machine has."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else "an unknown processor"


if __name__ == "__main__":
    main()
