"""From original archives, and from a tfrecord copy, to data that loads; and to a trained model."""

import json
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from array_record.python import array_record_module

from churn_jax import data
from churn_jax.data.decoding import decode
from churn_jax.data.prepare import prepare
from churn_jax.errors import UserError
from tests.fixtures import original_archives as originals
from tests.fixtures import tfds_sets
from tests.fixtures.configs import data_config
from tests.fixtures.experiments import ROOT

# Scripts find the package also where it is not installed.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
TRAIN, TEST = originals.cifar_images(70, seed=1), originals.cifar_images(20, seed=2)


def _cifar(name, form):
    number = name.removeprefix("cifar")
    files = getattr(originals, f"{name}_{form}")(TRAIN, TEST)
    return f"cifar-{number}-{form}.tar.gz", files


def write_original(name, folder):
    """One form of each data set, as published but small."""
    folder.mkdir()
    if name.startswith("cifar"):
        archive, files = _cifar(name, "python")
        originals.write_tar(folder / archive, files)
    elif name == "svhn":
        originals.write_svhn(folder, TRAIN, TEST)
    elif name == "imagenet":
        originals.write_imagenet_tars(folder)
    else:
        originals.write_inaturalist(folder, packed=True)
    return folder


def _prepared(name, source, out):
    prepare(name, source, out, partial=True)
    return data.load(data_config(name=name, dir=str(out)))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("form", ["python", "binary"])
@pytest.mark.parametrize("packed", [True, False])
def test_cifar_in_all_its_forms(tmp_path, name, form, packed):
    archive, files = _cifar(name, form)
    if packed:
        originals.write_tar(tmp_path / archive, files)
    else:
        originals.write_folder(tmp_path, files)
    dataset = _prepared(name, tmp_path, tmp_path / "out")
    np.testing.assert_array_equal(dataset.train.images, TRAIN)
    np.testing.assert_array_equal(dataset.test.images, TEST)
    classes = 10 if name == "cifar10" else 100
    np.testing.assert_array_equal(dataset.test.labels, np.arange(20) % classes)
    np.testing.assert_array_equal(dataset.train.labels, np.arange(70) % classes)
    assert dataset.train.ids[3] == "train_00003"
    expected = "cat" if name == "cifar10" else "fine_3"
    assert dataset.info.class_names[3] == expected


def test_a_forged_archive_runs_nothing(tmp_path):
    archive, files = _cifar("cifar10", "python")
    files["cifar-10-batches-py/test_batch"] = pickle.dumps(subprocess.Popen)
    originals.write_tar(tmp_path / archive, files)
    with pytest.raises(UserError, match=r"test_batch is damaged: it holds a subprocess\.Popen"):
        prepare("cifar10", tmp_path, tmp_path / "out", partial=True)


def test_svhn(tmp_path):
    originals.write_svhn(tmp_path, TRAIN, TEST)
    dataset = _prepared("svhn", tmp_path, tmp_path / "out")
    np.testing.assert_array_equal(dataset.train.images, TRAIN)
    np.testing.assert_array_equal(dataset.train.labels, np.arange(70) % 10)
    assert dataset.test.ids[5] == "test_000005"


@pytest.mark.parametrize("write", [originals.write_imagenet_tars, originals.write_imagenet_folders])
def test_imagenet(tmp_path, write):
    write(tmp_path)
    dataset = _prepared("imagenet", tmp_path, tmp_path / "out")
    assert (len(dataset.train), len(dataset.test)) == (64, 12)
    for synset, files in originals.imagenet_train().items():
        (index,) = np.flatnonzero(dataset.train.ids == f"{synset}_2.JPEG")
        assert dataset.info.class_names[dataset.train.labels[index]] == synset
        expected = decode(files[f"{synset}_2.JPEG"], "")
        np.testing.assert_array_equal(dataset.train[index]["image"], expected)
    assert dataset.test.ids[0] == "ILSVRC2012_val_00000001.JPEG"
    # The published labels of the first validation pictures.
    names = [dataset.info.class_names[label] for label in dataset.test.labels[:3]]
    assert names == ["n01751748", "n09193705", "n02105855"]


@pytest.mark.parametrize("packed", [True, False])
def test_inaturalist(tmp_path, packed):
    originals.write_inaturalist(tmp_path, packed)
    dataset = _prepared("inaturalist", tmp_path, tmp_path / "out")
    assert (len(dataset.train), len(dataset.test)) == (64, 12)
    (index,) = np.flatnonzero(dataset.train.ids == f"{7:032x}")
    assert dataset.info.class_names[dataset.train.labels[index]] == originals.SPECIES[-1 - 7 % 5]
    expected = decode(tfds_sets.jpeg(7), "")
    np.testing.assert_array_equal(dataset.train[index]["image"], expected)


def _as_tfrecord(folder):
    """The version folder `folder`, made by our writer, as TFDS's tfrecord form."""
    for path in folder.glob("*.array_record-*"):
        reader = array_record_module.ArrayRecordReader(str(path))
        content = b"".join(
            struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0)
            for record in reader.read_all()
        )
        path.with_name(path.name.replace(".array_record-", ".tfrecord-")).write_bytes(content)
        path.unlink()
    info = json.loads((folder / "dataset_info.json").read_text()) | {"fileFormat": "tfrecord"}
    for split in info["splits"]:
        split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (folder / "dataset_info.json").write_text(json.dumps(info))


def test_a_tfrecord_copy_is_converted(tmp_path):
    tfds_sets.write_imagenet(tmp_path / "tfds")
    _as_tfrecord(tmp_path / "tfds/imagenet2012/5.1.0")
    dataset = _prepared("imagenet", tmp_path / "tfds", tmp_path / "out")
    assert (len(dataset.train), len(dataset.test)) == (16, 8)
    assert dataset.info.class_names[0] == "n01440764"
    expected = decode(tfds_sets.jpeg(6), "")
    np.testing.assert_array_equal(dataset.test[6]["image"], expected)


# What jpegtran does, but for being without loss.
FAKE_JPEGTRAN = f"""#!{sys.executable}
import io, sys
from PIL import Image
options = sys.argv[1:]
assert options[:4] == ["-copy", "none", "-optimize", "-restart"] and options[4][-1] == "B"
buffer = io.BytesIO()
Image.open(io.BytesIO(sys.stdin.buffer.read())).save(
    buffer, format="JPEG", quality="keep", restart_marker_blocks=int(options[4][:-1])
)
sys.stdout.buffer.write(buffer.getvalue())
"""


@pytest.fixture
def fake_jpegtran(tmp_path, monkeypatch):
    path = tmp_path / "bin/jpegtran"
    path.parent.mkdir()
    path.write_text(FAKE_JPEGTRAN)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_pictures_get_restart_markers_where_jpegtran_is(tmp_path, fake_jpegtran):
    """In the order that they had, though several are rewritten at once."""
    tfds_sets.write_imagenet(tmp_path / "tfds")
    dataset = _prepared("imagenet", tmp_path / "tfds", tmp_path / "out")
    for index in range(8):
        picture, expected = dataset.test.encoded(index).picture, decode(tfds_sets.jpeg(index), "")
        _, (_, top) = picture.around((20, 20, 30, 30))
        assert top == 16
        assert np.abs(picture.pixels().astype(int) - expected).mean() < 3


def test_where_there_is_no_jpegtran_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    originals.write_imagenet_folders(tmp_path)
    said = []
    prepare("imagenet", tmp_path, tmp_path / "out", partial=True, say=said.append)
    assert said[0].startswith("jpegtran is not installed: JPEGs stay as they are")


def test_a_call_on_ones_own_output_prepares_nothing_anew(tmp_path):
    originals.write_imagenet_folders(tmp_path)
    version = prepare("imagenet", tmp_path, tmp_path, partial=True)
    shards = {path: os.stat(path).st_mtime_ns for path in version.glob("*.array_record-*")}
    assert prepare("imagenet", tmp_path, tmp_path, partial=True) == version
    assert shards == {path: os.stat(path).st_mtime_ns for path in shards}


@pytest.mark.parametrize("relative", [True, False])
def test_ones_own_output_is_known_under_another_name(tmp_path, monkeypatch, relative):
    originals.write_imagenet_folders(tmp_path)
    version = prepare("imagenet", tmp_path, tmp_path, partial=True)
    monkeypatch.chdir(tmp_path)
    source, out = (".", tmp_path) if relative else (tmp_path, ".")
    assert prepare("imagenet", source, out, partial=True).resolve() == version


def test_a_tfrecord_copy_is_not_converted_in_place(tmp_path):
    tfds_sets.write_imagenet(tmp_path)
    _as_tfrecord(tmp_path / "imagenet2012/5.1.0")
    with pytest.raises(UserError, match=r"--out: .* is where the tfrecord copy is"):
        prepare("imagenet", tmp_path, tmp_path)


def test_a_truncated_array_record_is_named(tmp_path):
    tfds_sets.write_imagenet(tmp_path / "tfds")
    shard = sorted((tmp_path / "tfds/imagenet2012/5.1.0").glob("*.array_record-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(UserError, match="array_record-00000-of-00004 is damaged"):
        prepare("imagenet", tmp_path / "tfds", tmp_path / "out")


def test_a_truncated_tfrecord_is_named(tmp_path):
    tfds_sets.write_imagenet(tmp_path / "tfds")
    _as_tfrecord(tmp_path / "tfds/imagenet2012/5.1.0")
    shard = sorted((tmp_path / "tfds/imagenet2012/5.1.0").glob("*.tfrecord-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(UserError, match="tfrecord-00000-of-00004 is truncated"):
        prepare("imagenet", tmp_path / "tfds", tmp_path / "out")


def test_an_interrupted_call_is_resumed(tmp_path):
    folder = write_original("svhn", tmp_path / "in")
    version = prepare("svhn", folder, tmp_path / "out", partial=True)
    shards = {path: os.stat(path).st_mtime_ns for path in version.glob("*.array_record-*")}
    damaged, *kept = sorted(shards)
    damaged.write_bytes(b"half a shard")
    prepare("svhn", folder, tmp_path / "out", partial=True)
    assert all(os.stat(path).st_mtime_ns == shards[path] for path in kept)
    dataset = data.load(data_config(name="svhn", dir=str(tmp_path / "out")))
    np.testing.assert_array_equal(dataset.test.images, TEST)


def test_progress_is_reported(tmp_path):
    said = []
    folder = write_original("svhn", tmp_path / "in")
    prepare("svhn", folder, tmp_path / "out", partial=True, say=said.append)
    assert said == ["svhn: train 70 of 70 (100%)", "svhn: test 20 of 20 (100%)"]


def _without_a_file(folder):
    (folder / "test_32x32.mat").unlink()


def _truncated(folder):
    path = folder / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "fault"),
    [(_without_a_file, "has no test_32x32.mat"), (_truncated, "test_32x32.mat is damaged")],
)
def test_damaged_files_are_named(tmp_path, damage, fault):
    folder = write_original("svhn", tmp_path / "in")
    damage(folder)
    with pytest.raises(UserError, match=fault):
        prepare("svhn", folder, tmp_path / "out", partial=True)


def test_what_is_not_the_original_is_refused(tmp_path):
    folder = write_original("svhn", tmp_path / "in")
    with pytest.raises(UserError, match=r"train_32x32\.mat has .* bytes, the original 182040794"):
        prepare("svhn", folder, tmp_path / "out")
    originals.write_inaturalist(tmp_path, packed=False)
    with pytest.raises(UserError, match=r"64 examples in train, published are 437513.*--partial"):
        prepare("inaturalist", tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["cifar11", "--source=."], "no data set 'cifar11' to prepare (did you mean"),
        (["cifar10", "--source=/nowhere"], "--source: there is no /nowhere"),
        (["cifar10", "--source=/bin"], "has neither cifar-10-python.tar.gz nor"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(tmp_path, arguments, fault):
    command = [sys.executable, "launch/prepare_data.py", *arguments, f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert fault in done.stderr
    assert len(done.stderr.splitlines()) == 1


SMALLER = ["--config.model.name=lenet5", "--config.epochs=1.0"]


@pytest.mark.parametrize(
    "name",
    [
        "svhn",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("cifar10", "cifar100", "imagenet", "inaturalist")
        ),
    ],
)
def test_from_archives_to_a_report(tmp_path, name):
    source = write_original(name, tmp_path / "in")
    out, workdir = tmp_path / "out", tmp_path / "runs"
    for command in (
        ["launch/prepare_data.py", name, f"--source={source}", f"--out={out}", "--partial"],
        [
            *("-m", "churn_jax.main", f"--config=configs/{name}.py:baseline,tiny"),
            *(f"--config.data.dir={out}", f"--workdir={workdir}", *SMALLER),
        ],
    ):
        subprocess.run([sys.executable, *command], cwd=ROOT, env=ENVIRONMENT, check=True)
    report = json.loads((workdir / "report.json").read_text())
    assert report["dataset"] == name
    assert report["groups"][0]["num_runs"] == 2
