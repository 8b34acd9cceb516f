"""evaluate, compare and study give in a bucket the bytes that they give in a local folder."""

import shutil

import numpy as np
import pytest
from etils import epath

from churn_jax import compare, evaluate
from churn_jax.predictions import prediction_file
from tests.fixtures import studies
from tests.fixtures.bucket import BUCKET, emulated_bucket, without_times
from tests.fixtures.experiments import make_config

TIMES = ("junit.xml",)  # says when, and how long it took


@pytest.fixture(scope="module")
def bucket():
    with emulated_bucket() as bucket:
        yield bucket


@pytest.fixture
def remote(bucket, request):
    bucket.fault = lambda method, path: None
    return epath.Path(f"gs://{BUCKET}/{request.node.name}")


def files(folder):
    """{path below the folder: bytes} of what does not tell the time."""
    found = {}
    for path in folder.iterdir():
        if path.is_dir():
            found |= {f"{path.name}/{name}": content for name, content in files(path).items()}
        elif path.name not in TIMES:
            found[path.name] = without_times(path.read_bytes())
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Workdirs of two methods, three runs each."""
    folder = epath.Path(tmp_path_factory.mktemp("trained"))
    for method, beta in (("baseline", 0.0), ("pair", 0.5)):
        config = make_config(runs=3, method__beta=beta, method__members=1 + bool(beta))
        studies.stand_in(config, folder / method)
    return folder


def upload(folder, to):
    for name, content in files(folder).items():
        (to / name).write_bytes(content)


def assert_same(found, expected, *least, named=("", "")):
    """Both folders hold the same bytes, but for the names of the places, and at least `least`."""
    there, here = (name.encode() for name in named)
    found = {path: content.replace(there, here) for path, content in files(found).items()}
    expected = files(epath.Path(expected))
    assert set(least) <= set(expected)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_evaluate(trained, remote, tmp_path):
    upload(trained, remote)
    for place, out in ((trained, tmp_path), (remote, remote / "report")):
        evaluate.evaluate([place / "baseline", place / "pair"], out)
    assert_same(remote / "report", tmp_path, "report.json", "report.html", "report.md")


def test_compare_and_its_gate(trained, remote, tmp_path, monkeypatch):
    """One model as a pattern of run files, the other as a foreign file, the labels as a third."""
    (run, *_) = sorted((trained / "pair").glob("predictions/*/*"))
    predictions = prediction_file.read(run)
    np.savez(tmp_path / "new.npz", log_probs=predictions.log_probs[0], ids=predictions.ids)
    with (tmp_path / "labels.csv").open("w") as file:
        rows = zip(predictions.ids, predictions.labels, strict=True)
        file.write("id,label\n" + "".join(f"{id},{label}\n" for id, label in rows))
    shutil.copytree(trained / "baseline", tmp_path / "old")
    upload(epath.Path(tmp_path), remote)
    monkeypatch.chdir(tmp_path)
    codes = []
    for place, out in ((tmp_path, "report"), (remote, remote / "report")):
        groups = [
            f"--group=old={place}/old/predictions/*/run_00[0-1].*",
            f"--group=new={place}/new.npz",
        ]
        flags = [*groups, f"--labels={place}/labels.csv", f"--out={out}", "--fail_if=churn>1%"]
        codes.append(compare.main(flags))
    assert codes == [1, 1]
    names = (str(remote), str(tmp_path))
    assert_same(remote / "report", tmp_path / "report", "report.json", "report.html", named=names)


def test_study(remote, tmp_path):
    for place in (epath.Path(tmp_path), remote):
        studies.write("fixed_init", place, runs=2)
    assert_same(remote / "out", tmp_path / "out", "report.json", "study.html", "study.md")
