"""Ten thousand steps and fifty evaluations leave memory, file handles and the log as they were."""

import gc
import os
from pathlib import Path

import pytest

from churn_jax.training import loop
from tests.fixtures.experiments import make_config

STEPS = 10_000
MEGABYTE = 1 << 20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
def test_memory_and_file_handles_stay_flat(tmp_path, monkeypatch):
    seen = []
    evaluate = loop.evaluate_members

    def noting(*arguments):
        found = evaluate(*arguments)
        gc.collect()
        seen.append((resident_bytes(), open_files()))
        return found

    monkeypatch.setattr(loop, "evaluate_members", noting)
    epochs = STEPS / 4
    config = make_config(
        runs=2,
        epochs=epochs,
        eval_every=epochs / 50,
        checkpoint_every=epochs / 10,
        keep_checkpoints=2,
        log_every=500,
    )
    loop.train(config, tmp_path)
    memory, files = zip(*seen, strict=True)
    assert len(seen) == 50
    # The first evaluations and checkpoints fill caches that stay.
    assert max(memory[15:]) - memory[14] < 32 * MEGABYTE, [size // MEGABYTE for size in memory]
    assert max(files[15:]) <= files[14] + 4, files  # a checkpoint may be on its way
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == STEPS // 500 + 50
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
