"""Anybody's pictures as a data set."""

import numpy as np
import pytest

from churn_jax import data
from churn_jax.data.decoding import decode
from churn_jax.errors import UserError
from tests.fixtures.configs import data_config
from tests.fixtures.original_archives import write_folder
from tests.fixtures.tfds_sets import jpeg


def _load(path, **overrides):
    return data.load(data_config(name="image_folder", dir=str(path), **overrides))


def _pictures(names):
    return {name: jpeg(i) for i, name in enumerate(names)}


@pytest.fixture
def folder(tmp_path):
    """Fifty pictures of each of two classes, and a file that is none."""
    pictures = _pictures([f"{animal}/{i}.jpg" for animal in ("dog", "cat") for i in range(50)])
    write_folder(tmp_path, pictures | {"cat/notes.txt": b"no picture"})
    return tmp_path


def test_class_folders_are_split_by_their_paths(folder):
    dataset = _load(folder, image_size=48)
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.info.image_shape == (48, 48, 3)
    assert len(dataset.train) + len(dataset.test) == 100
    assert 10 <= len(dataset.test) <= 30
    assert not set(dataset.train.ids) & set(dataset.test.ids)
    for name, label in zip(dataset.test.ids, dataset.test.labels, strict=True):
        assert dataset.info.class_names[label] == name.split("/")[0]


def test_a_new_picture_leaves_the_others_where_they_were(folder):
    before = set(_load(folder).test.ids)
    write_folder(folder, {"dog/new.jpg": jpeg(1)})
    assert set(_load(folder).test.ids) - {"dog/new.jpg"} == before


def test_pictures_are_read_when_asked_for(folder):
    example = _load(folder).test[0]
    expected = decode((folder / example["id"]).read_bytes(), "")
    np.testing.assert_array_equal(example["image"], expected)


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_a_split_that_is_there_is_kept(tmp_path, test_name):
    write_folder(
        tmp_path,
        _pictures(
            [f"train/a/{i}.png" for i in range(4)]
            + ["train/b/deep/0.JPG", f"{test_name}/a/0.png", f"{test_name}/b/0.png"]
        ),
    )
    dataset = _load(tmp_path)
    assert len(dataset.train) == 5
    assert list(dataset.test.ids) == [f"{test_name}/a/0.png", f"{test_name}/b/0.png"]
    assert list(dataset.test.labels) == [0, 1]


def test_a_csv_of_paths(tmp_path):
    write_folder(tmp_path, _pictures(["x/1.jpg", "x/2.jpg", "3.jpg"]))
    rows = "path,label,split\nx/1.jpg,dog,train\nx/2.jpg,cat,train\n3.jpg,dog,val\n"
    (tmp_path / "pictures.csv").write_text(rows)
    dataset = _load(tmp_path / "pictures.csv")
    assert list(dataset.train.ids) == ["x/1.jpg", "x/2.jpg"]
    assert list(dataset.train.labels) == [1, 0]
    assert dataset.test[0]["id"] == "3.jpg"


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("file,label\n", "names no column 'path'"),
        ("path,label,split\na.jpg,x,dev\n", "line 2: split 'dev' is neither train nor test"),
        ("path,label\na.jpg,x\na.jpg,y\n", "line 3: a.jpg is there twice"),
        ("path,label\na.jpg,x\n", "1 classes found, at least 2 are needed"),
        ("path,label,split\na.jpg,x,train\nb.jpg,y,train\n", "no pictures to test on"),
    ],
)
def test_a_bad_csv_is_one_line(tmp_path, rows, fault):
    (tmp_path / "pictures.csv").write_text(rows)
    with pytest.raises(UserError) as refused:
        _load(tmp_path / "pictures.csv")
    assert fault in str(refused.value)


def test_missing_things_are_named(tmp_path):
    with pytest.raises(UserError, match=r"config\.data\.dir: name your folder"):
        _load("")
    with pytest.raises(UserError, match="there is no"):
        _load(tmp_path / "none")
    (tmp_path / "train/a").mkdir(parents=True)
    with pytest.raises(UserError, match="a folder train but none of test, val, validation"):
        _load(tmp_path)
    (tmp_path / "p.csv").write_text("path,label,split\nx.jpg,a,train\ny.jpg,b,test\n")
    with pytest.raises(UserError, match=r"the picture .*x\.jpg can't be read"):
        _load(tmp_path / "p.csv").train[0]
