"""The sequence of examples and augmentation keys is a function of the config alone.

Neither processes nor workers nor a resume in mid-epoch change it: shown through the feed that
training uses, on ImageNet's format.
"""

import subprocess
import sys

import numpy as np
import pytest

from tests.fixtures import stream_dump, tfds_sets
from tests.fixtures.experiments import ROOT
from tests.fixtures.stream_dump import BATCH_SIZE, NUM_STEPS, NUM_TRAIN, RUNS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    tfds_sets.write_imagenet(folder, num_train=NUM_TRAIN, num_validation=3)
    return folder


def _sequence(folder, workers=0, first_step=0):
    config = stream_dump.make_config(folder, workers, data_axis=1)
    return stream_dump.sequence(*stream_dump.make_feed(config, first_step))


@pytest.fixture(scope="module")
def expected(folder):
    """In one process, without workers, from the start."""
    return _sequence(folder)


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_every_example_comes_exactly_once_an_epoch(expected):
    for run in range(RUNS):
        ids = expected["ids"][:, run].ravel()
        epochs = [ids[:NUM_TRAIN], ids[NUM_TRAIN : 2 * NUM_TRAIN]]
        for epoch in epochs:
            assert len(set(epoch)) == NUM_TRAIN
        assert list(epochs[0]) != list(epochs[1])
    assert not np.array_equal(expected["ids"][:, 0], expected["ids"][:, 1])


def test_no_augmentation_is_drawn_twice(expected):
    keys, ids = expected["keys"].reshape(-1, 2).tolist(), expected["ids"].ravel()
    drawn = {(*key, name) for key, name in zip(keys, ids, strict=True)}
    assert len(drawn) == expected["ids"].size


@pytest.mark.parametrize("first_step", [1, 4])  # within the first epoch, and the second
def test_a_resume_in_mid_epoch_goes_on_where_it_was(folder, expected, first_step):
    rest = {name: values[first_step:] for name, values in expected.items()}
    _assert_same(_sequence(folder, first_step=first_step), rest)


def _of_processes(folder, out, processes, workers=0, first_step=0, members=1):
    """What each of several processes is fed."""
    options = [f"--processes={processes}", "--module=tests.fixtures.stream_dump", "--"]
    arguments = map(str, (folder, out, workers, first_step, members))
    subprocess.run(
        [sys.executable, str(ROOT / "launch/local_processes.py"), *options, *arguments],
        cwd=ROOT,
        check=True,
    )
    files = sorted(out.glob("*.npz"))
    assert len(files) == processes
    return [dict(np.load(file)) for file in files]


def _joined(parts):
    """The whole sequence, from the processes' places in it."""
    order = np.argsort(np.concatenate([part["places"] for part in parts]))
    names = ("ids", "keys", "images")
    return {
        name: np.concatenate([part[name] for part in parts], axis=2)[:, :, order] for name in names
    }


@pytest.mark.parametrize(
    ("processes", "members"), [(2, 2), pytest.param(4, 2, marks=pytest.mark.slow)]
)
def test_members_on_different_processes_decode_each_picture_once(
    folder, expected, tmp_path, processes, members
):
    """Every process its share, and all together each picture of the batch: none twice."""
    parts = _of_processes(folder, tmp_path, processes, members=members)
    assert sorted(np.concatenate([part["places"] for part in parts])) == list(range(BATCH_SIZE))
    pictures = RUNS * NUM_STEPS * BATCH_SIZE
    assert [int(part["decoded"]) for part in parts] == [pictures // processes] * processes
    _assert_same(_joined(parts), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "workers", "first_step"),
    [(1, 1, 0), (1, 4, 3), (2, 0, 0), (2, 1, 3), (4, 0, 3), (4, 1, 0), (2, 4, 0)],
)
def test_processes_and_workers_change_nothing(
    folder, expected, tmp_path, processes, workers, first_step
):
    parts = _of_processes(folder, tmp_path, processes, workers, first_step)
    assert parts[0]["ids"].shape[2] == BATCH_SIZE // processes
    rest = {name: values[first_step:] for name, values in expected.items()}
    _assert_same(_joined(parts), rest)
