"""Storage in a bucket: what is written is there at once, whole, and by one writer at a time."""

import json
import os
import subprocess
import sys
import time

import fsspec  # before it is told to remember no listing, as in a notebook  # noqa: F401
import numpy as np
import pytest
import requests
from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage import locks
from churn_jax.storage.files import Appender, at_hand, names_in, numbered, reach, write_atomically
from churn_jax.storage.objects import Changed, VersionedObject
from churn_jax.storage.paths import matches
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.system import private_surfaces
from churn_jax.training.metrics_log import open_log
from tests.fixtures.bucket import BUCKET, emulated_bucket
from tests.fixtures.experiments import ROOT, make_config


@pytest.fixture(scope="module")
def bucket():
    with emulated_bucket() as bucket:
        yield bucket


@pytest.fixture
def folder(bucket, request):
    bucket.fault = lambda method, path: None
    return epath.Path(f"gs://{BUCKET}/{request.node.name.split('[')[0]}")


def once(fault, method="POST"):
    """That fault, at the first such request."""
    left = [fault]
    return lambda asked, path: left.pop() if asked == method and left else None


def test_what_is_written_is_there_and_replaced_whole(folder):
    write_atomically(folder / "report.json", "one")
    write_atomically(folder / "report.json", "two µ")
    assert (folder / "report.json").read_bytes() == "two µ".encode()
    assert [path.name for path in folder.iterdir()] == ["report.json"]  # no half-written copy


def test_lines_are_there_as_soon_as_they_are_written(folder):
    """A file that is opened to append would be written over, and flush uploads nothing."""
    with Appender(folder / "metrics.jsonl", b"kept\n") as lines:
        lines.append(b"one\n")
        assert (folder / "metrics.jsonl").read_bytes() == b"kept\none\n"
        lines.append(b"two\n")
        assert (folder / "metrics.jsonl").read_bytes() == b"kept\none\ntwo\n"


def test_a_log_is_whole_after_three_kills(folder, tmp_path):
    """Each start goes on from its checkpoint, and writes again what came after it."""

    def write(workdir, first, last):
        log = open_log(workdir, first, make_config())  # and never closed
        for step in range(first + 1, last + 1):
            log.write("train", step, step / 4, {"accuracy": np.array([[step / 100]])})

    write(tmp_path, 0, 12)
    for first, last in ((0, 3), (2, 7), (4, 9), (8, 12)):
        write(folder, first, last)
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "metrics.jsonl").read_bytes()


def test_a_folder_that_is_emptied_while_it_is_read_holds_nothing(bucket, folder):
    """Orbax clears away half-written checkpoints while a resumed training looks for whole ones."""
    state = folder / "checkpoints/4.tmp/state"

    def emptied_at(request):
        asked = []

        def fault(method, path):
            asked.append(path)
            if len(asked) == request:
                state.unlink()

        return fault

    for request in range(1, 5):
        write_atomically(state, "")
        bucket.fault = emptied_at(request)
        assert numbered(folder / "checkpoints") == []
        bucket.fault = lambda method, path: None
        state.unlink(missing_ok=True)


@pytest.mark.parametrize("fault", ["503", "lost"])
def test_a_write_that_the_service_stumbles_over_is_repeated(bucket, folder, fault):
    bucket.fault = once(fault)
    with Appender(folder / f"{fault}.jsonl") as lines:
        lines.append(b"one\n")
    assert (folder / f"{fault}.jsonl").read_bytes() == b"one\n"


def test_what_another_process_writes_is_seen(bucket, folder):
    write_atomically(folder / "1/state", "")
    assert numbered(folder) == [1]
    write = f"""
from churn_jax.storage.files import write_atomically
write_atomically("{folder}/2/state", "")
"""
    subprocess.run([sys.executable, "-c", write], cwd=ROOT, check=True)
    assert numbered(folder) == [1, 2]


def test_a_slow_listing_is_waited_for(bucket, folder):
    write_atomically(folder / "1/state", "")
    bucket.fault = lambda method, path: time.sleep(0.3) if "prefix=" in path else None
    assert numbered(folder) == [1]


def test_names_of_a_bucket_are_those_of_a_folder(folder, tmp_path):
    for name in ("1/state", "1/deep/er", "note", "10.tmp/x", "µ/x"):
        write_atomically(folder / name, "")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for place in (".", "1", "1/deep", "10.tmp", "nothing", "1/sta"):
        assert sorted(names_in(folder / place)) == sorted(names_in(tmp_path / place)), place


def test_of_two_writers_of_one_version_the_second_fails(folder):
    first, second = (VersionedObject(folder / "lock") for _ in range(2))
    assert first.read_text() == second.read_text() == ""
    first.write_text("first")
    with pytest.raises(Changed):
        second.write_text("second")
    assert second.read_text() == "first"
    second.write_text("second")
    with pytest.raises(Changed):
        first.write_text("again")


@pytest.mark.parametrize("fault", ["503", "lost"])
def test_a_lease_is_taken_once_however_the_service_answers(bucket, folder, fault):
    bucket.fault = once(fault)
    note = VersionedObject(folder / fault)
    note.write_text("mine")
    assert VersionedObject(folder / fault).read_text() == "mine"
    note.write_text("renewed")


def test_the_second_writer_to_a_folder_is_refused(folder, monkeypatch):
    monkeypatch.setattr(locks, "RENEWAL", 0.2)
    second = f"""
from churn_jax.storage import locks
locks.RENEWAL = 0.2
try:
    with locks.hold("{folder}"):
        print("holds it too")
except locks.Locked as refused:
    print(refused)
"""
    with locks.hold(folder):
        command = [sys.executable, "-c", second]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"is being written by process {os.getpid()} on" in ended.stdout
    assert (folder / "lock").read_text() == ""


def test_two_that_come_at_the_same_moment_do_not_both_hold_the_folder(bucket, folder):
    """The other one's write comes between this one's look and its own."""
    other = {"host": "elsewhere", "pid": 1, "since": "now", "renewed": 0}
    came = []

    def come_first(method, path):
        if method == "POST" and not came:
            came.append(path)
            write_atomically(folder / "lock", json.dumps(other))

    bucket.fault = come_first
    with pytest.raises(locks.Locked, match="process 1 on elsewhere"), locks.hold(folder):
        pass
    assert json.loads((folder / "lock").read_text()) == other


def test_a_bucket_that_is_not_there_is_said_at_once(bucket):
    with pytest.raises(UserError, match="--workdir=gs://nobody/x can't be reached"):
        reach("gs://nobody/x", "--workdir")
    assert str(reach(f"gs://{BUCKET}/x", "--workdir")) == f"gs://{BUCKET}/x"


@pytest.mark.parametrize("times", [1, 3])
def test_a_first_look_that_the_service_stumbles_over_is_repeated(bucket, folder, times):
    left = ["503"] * times
    bucket.fault = lambda method, path: left.pop() if left else None
    assert reach(str(folder), "--workdir") == folder
    assert not left


def test_a_checkpoint_that_was_cut_off_is_none(folder):
    """A bucket's folder has its name before it is whole."""
    for step in (4, 8):
        (folder / "checkpoints" / str(step) / "state" / "array").write_bytes(b"0")
    assert checkpoint_steps(folder) == []
    (folder / "checkpoints" / "4" / private_surfaces.COMMITTED).write_text("")
    assert checkpoint_steps(folder) == [4]


def test_an_object_that_arrives_with_other_bytes_is_refused(bucket, folder):
    write_atomically(folder / "x.npy", "0" * 1000)
    with at_hand(folder / "x.npy") as file:
        assert file.read_text() == "0" * 1000
    assert not file.exists()
    bucket.fault = lambda method, path: "flipped" if "alt=media" in path else None
    with pytest.raises(UserError, match=f"{folder}/x.npy: cannot be read .* CRC-32C"):
        at_hand(folder / "x.npy").__enter__()


def test_an_object_that_leaves_with_other_bytes_is_refused(folder, monkeypatch):
    """The service compares what it gets with the checksum that Google's client sends along."""
    send = requests.Session.request

    def flipped(session, method, url, data=None, **options):
        changed = data.replace(b"0000", b"0001") if data else data
        return send(session, method, url, data=changed, **options)

    write_atomically(folder / "report.json", "before")
    monkeypatch.setattr(requests.Session, "request", flipped)
    with pytest.raises(UserError, match=r"report\.json can't be written"):
        write_atomically(folder / "report.json", "0" * 4)
    assert (folder / "report.json").read_text() == "before"


def test_what_is_wrong_with_an_object_is_said_of_the_object(folder):
    def broken(file):
        raise UserError(f"{file}: column 3")

    write_atomically(folder / "x.csv", "a,b")
    with (
        pytest.raises(UserError, match=f"^{folder}/x.csv: column 3"),
        at_hand(folder / "x.csv") as f,
    ):
        broken(f)
    with pytest.raises(UserError, match=r"/no\.csv: cannot be read \(No such file"):
        at_hand(folder / "no.csv").__enter__()


def test_patterns_match_objects_as_they_match_files(folder, tmp_path):
    for name in ("a/1.npz", "a/2.npz", "a/2.csv", "b/1.npz", "b[1]/x", "c"):
        write_atomically(folder / name, "")
        write_atomically(tmp_path / name, "")
    for pattern in ("a/*.npz", "*/1.npz", "?/*", "[ab]/[12].*", "b[1]/*", "c", "d", "*/no", "a/**"):
        below = [path.removeprefix(f"{tmp_path}/") for path in matches(f"{tmp_path}/{pattern}")]
        assert matches(f"{folder}/{pattern}") == [f"{folder}/{path}" for path in below], pattern


def test_data_in_a_bucket_is_to_be_mounted():
    from churn_jax import data

    config = make_config(data__name="cifar10", data__dir="gs://b/data", data__num_train=0)
    with pytest.raises(UserError, match=r"config\.data\.dir: gs://b/data is a bucket.* mount it"):
        data.load(config.data)
