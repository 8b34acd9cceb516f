"""The log of a training: continued where it was cut off, repaired where it was damaged."""

import json
import resource

import numpy as np
import pytest

from churn_jax.errors import UserError
from churn_jax.training.metrics_log import MetricsLog


@pytest.fixture
def log(tmp_path):
    """A log with lines of steps 2, 4 and 6."""
    with MetricsLog(tmp_path, 0) as written:
        for step in (2, 4, 6):
            written.write("train", step, step / 4, {"loss": np.array([[0.5], [1.5]])})
    return tmp_path / "metrics.jsonl"


def continued(log, from_step=4):
    with MetricsLog(log.parent, from_step):
        pass
    return [json.loads(line)["step"] for line in log.read_text().splitlines()]


def test_what_lies_beyond_the_checkpoint_is_dropped(log):
    assert continued(log) == [2, 4]


def test_a_torn_last_line_is_dropped(log, capsys):
    log.write_bytes(log.read_bytes()[:-10])
    assert continued(log, from_step=6) == [2, 4]
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "garbage", [b"\0" * 64, b"\xff\xfe", b"{", b"[1]", b'{"step": null}'], ids=repr
)
def test_garbage_is_left_out_said_and_kept_in_a_copy(log, garbage, capsys):
    content = log.read_bytes() + garbage + b"\n"
    log.write_bytes(content)
    assert continued(log) == [2, 4]
    assert "1 damaged lines left out; metrics.damaged.jsonl" in capsys.readouterr().err
    assert (log.parent / "metrics.damaged.jsonl").read_bytes() == content


def test_what_is_not_finite_is_null(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        log.write("train", 1, 0.5, {"loss": np.array([[np.nan], [1.0], [np.inf]])})
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line["loss"] == [[None], [1.0], [None]]


def test_a_file_that_cannot_grow_is_one_line(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            with pytest.raises(UserError, match=r"metrics.jsonl can't be written: File too large"):
                log.write("train", 1, 0.5, {"loss": np.ones(1)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
