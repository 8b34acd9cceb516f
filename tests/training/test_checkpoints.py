"""Damaged checkpoints are found, said, moved aside and done again; never used, never lost."""

import dataclasses
import shutil
from pathlib import Path

import jax
import pytest

from churn_jax import data
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.storage import checksums
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.training import loop
from churn_jax.training.checkpoints import Checkpoints, DamagedCheckpoint, folder
from tests.fixtures.experiments import assert_equal, make_config, make_experiment, optimised

CONFIG = make_config(checkpoint_every=1.0, log_every=3)


@pytest.fixture(scope="module", autouse=True)
def as_users_compile():
    """What is trained on after damage is compared bit for bit with what nothing happened to."""
    with optimised():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir with checkpoints of steps 4 and 8."""
    workdir = tmp_path_factory.mktemp("finished")
    loop.train(CONFIG, workdir)
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "work"))


def largest_file(checkpoint: Path) -> Path:
    files = [path for path in Path(checkpoint).rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def truncate(checkpoint):
    file = largest_file(checkpoint)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(checkpoint):
    file = largest_file(checkpoint)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove_a_file(checkpoint):
    largest_file(checkpoint).unlink()


def half_delete(checkpoint):
    shutil.rmtree(checkpoint / "state")


def empty(checkpoint):
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


def garble_the_checksums(checkpoint):
    (checkpoint / checksums.MANIFEST).write_text("{")


DAMAGES = {
    truncate: "bytes instead of",
    flip_a_bit: "has other bytes than were written",
    remove_a_file: "is missing",
    half_delete: "is missing",
    empty: "is damaged",
    garble_the_checksums: "checksums.json is damaged",
}


def resume(workdir):
    with Checkpoints(workdir, keep=3) as checkpoints:
        return checkpoints.resume(make_experiment(CONFIG).abstract_state())


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_set_aside_and_the_newest_whole_one_used(workdir, damage, capsys):
    damage(folder(workdir) / "8")
    state = resume(workdir)
    assert int(state.step) == 4
    said = capsys.readouterr().err
    assert f"{folder(workdir) / '8'} is damaged: " in said
    assert DAMAGES[damage] in said
    assert checkpoint_steps(workdir) == [4]
    assert (folder(workdir) / "damaged" / "8").is_dir()


def test_after_damage_training_ends_bit_for_bit_the_same(finished, workdir):
    flip_a_bit(folder(workdir) / "8")
    loop.train(CONFIG, workdir)
    assert checkpoint_steps(workdir) == [4, 8]
    assert_equal(jax.device_get(resume(workdir)), jax.device_get(resume(finished)))
    for run in range(CONFIG.runs):
        ours, theirs = (
            prediction_file.read(
                prediction_file.step_dir(where, 8) / prediction_file.file_name(run)
            )
            for where in (workdir, finished)
        )
        assert_equal(ours.log_probs, theirs.log_probs)
    assert (workdir / "metrics.jsonl").read_text() == (finished / "metrics.jsonl").read_text()


def test_damaged_twice_both_are_kept(workdir):
    for _ in range(2):
        flip_a_bit(folder(workdir) / "8")
        loop.train(CONFIG, workdir)
    assert sorted(path.name for path in (folder(workdir) / "damaged").iterdir()) == ["8", "8.1"]


def test_with_no_whole_checkpoint_it_never_starts_from_scratch_by_itself(workdir):
    truncate(folder(workdir) / "4")
    remove_a_file(folder(workdir) / "8")
    for _ in range(2):
        with pytest.raises(UserError, match=r"no checkpoint is whole.*put back a copy"):
            loop.train(CONFIG, workdir)
    assert sorted(path.name for path in (folder(workdir) / "damaged").iterdir()) == ["4", "8"]


def test_readers_find_damage_too_and_move_nothing(workdir):
    truncate(folder(workdir) / "8")
    like = make_experiment(CONFIG).abstract_state()
    with Checkpoints(workdir) as checkpoints, pytest.raises(DamagedCheckpoint, match="instead of"):
        checkpoints.restore(8, like)
    assert checkpoint_steps(workdir) == [4, 8]


def test_a_checkpoint_without_checksums_is_used(workdir):
    (folder(workdir) / "8" / checksums.MANIFEST).unlink()
    assert int(resume(workdir).step) == 8


def test_what_was_left_of_a_write_that_was_cut_off_is_cleared_away(workdir):
    left = folder(workdir) / "12.orbax-checkpoint-tmp"
    shutil.copytree(folder(workdir) / "8", left)
    with Checkpoints(workdir):
        assert left.exists()  # a reader leaves it to the writer
    loop.train(CONFIG, workdir)
    assert not left.exists()
    assert checkpoint_steps(workdir) == [4, 8]


def test_a_stray_name_is_no_step(workdir):
    for name in ("²", "12a", "notes"):
        (folder(workdir) / name).mkdir()
    assert checkpoint_steps(workdir) == [4, 8]


def test_other_training_data_is_refused(workdir, monkeypatch):
    """Damage aside, a checkpoint goes on only with the data that it has seen."""
    half_delete(Path(folder(workdir)) / "8")
    loaded = data.load(CONFIG.data)
    labels = loaded.train.labels.copy()
    labels[0] = (labels[0] + 1) % 10
    train_part = dataclasses.replace(loaded.train, labels=labels)
    changed = dataclasses.replace(loaded, train=train_part)
    monkeypatch.setattr(loop.data, "load", lambda _: changed)
    with pytest.raises(UserError, match="other training data than it began with"):
        loop.train(CONFIG, workdir)
    assert checkpoint_steps(workdir) == [4]
