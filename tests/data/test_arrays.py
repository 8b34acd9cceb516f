"""Own arrays and tables, by path alone."""

import numpy as np
import pytest

from churn_jax import data
from churn_jax.config import DataConfig
from churn_jax.errors import UserError

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.array(["no", "yes"])[np.arange(40) % 2]


def load(path):
    return data.load(DataConfig(name="arrays", dir=str(path)))


def all_of(dataset):
    """{id: (input, name of the class)} of both splits."""
    return {
        example["id"]: (example["image"].tolist(), dataset.info.class_names[example["label"]])
        for split in (dataset.train, dataset.test)
        for example in (split[i] for i in range(len(split)))
    }


EXPECTED = {f"{i:07d}": (X[i].tolist(), str(Y[i])) for i in range(40)}


def test_a_file_a_folder_and_tables_give_the_same(tmp_path):
    np.savez(tmp_path / "both.npz", x=X, y=Y)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    header = "a,label,b,c"
    rows = [f"{a!r},{label},{b!r},{c!r}" for (a, b, c), label in zip(X.tolist(), Y, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join([header, *rows]))
    first = load(tmp_path / "both.npz")
    assert all_of(first) == EXPECTED
    assert 0 < len(first.test) < 20
    for name in ("", "x.npy", "table.csv"):
        assert all_of(load(tmp_path / name)) == EXPECTED
        np.testing.assert_array_equal(load(tmp_path / name).test.ids, first.test.ids)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"label": Y, "a": X[:, 0], "b": X[:, 1].astype(np.float64), "c": X[:, 2]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    assert all_of(load(tmp_path / "t.parquet")) == EXPECTED


def test_splits_and_ids_of_ones_own_and_numbers_as_classes(tmp_path):
    split = np.array(["train"] * 30 + ["test"] * 10)
    ids, y = np.array([f"patient {i}" for i in range(40)]), np.arange(40) % 11
    np.savez(tmp_path / "a.npz", x=X, y=y, split=split, ids=ids)
    found = load(tmp_path / "a.npz")
    assert found.info.class_names == tuple(map(str, range(11)))
    assert list(found.test.ids) == list(ids[30:])
    np.savez(tmp_path / "b.npz", x_train=X[:30], y_train=y[:30], x_test=X[30:], y_test=y[30:])
    np.testing.assert_array_equal(load(tmp_path / "b.npz").test.labels, found.test.labels)


def test_tokens_and_pictures(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 7, (40, 5), np.int32)
    np.savez(tmp_path / "tokens.npz", x=tokens, y=Y)
    info = load(tmp_path / "tokens.npz").info
    assert (info.dtype, info.vocabulary, info.image_shape) == ("int32", tokens.max() + 1, (5,))
    pictures = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).astype(np.uint8)
    np.savez(tmp_path / "pictures.npz", x=pictures, y=Y)
    found = load(tmp_path / "pictures.npz")
    of_train = found.train.images / 255
    np.testing.assert_allclose(found.info.mean, of_train.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(found.info.std, of_train.std((0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X.astype(np.float64), "y": Y}, r"float64, not one of .* by .astype\('float32'\)"),
        ({"x": X.astype(np.int64), "y": Y}, r"int64, .* by .astype\('int32'\)"),
        ({"x": X}, r"needs x and y, or x_train, .*; it has x"),
        ({"x": X, "y": Y[:39]}, r"y has shape \[39\], but x has 40 examples"),
        ({"x": X, "y": X[:, 0]}, "the labels are float32"),
        ({"x": X, "y": np.zeros(40, int)}, "1 classes found"),
        ({"x": X, "y": Y, "ids": np.zeros(40, int)}, "ids are there twice"),
        ({"x": X, "y": Y, "split": np.array(["dev"] * 40)}, "'dev' is neither train nor test"),
        ({"x": X, "y": Y, "split": np.array(["train"] * 40)}, "no examples to test on"),
        ({"x": np.where(X > 1, np.float32(np.nan), X), "y": Y}, "nan is no finite number"),
    ],
)
def test_arrays_that_can_not_be_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=said):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "a,b\n1,2\n", r"no column 'label' \(its columns: a, b\)"),
        ("a.csv", "a,label\n1,x\nred,y\n", "column 'a' holds 'red', which is no number"),
        ("a.csv", "a,label\n1,x\n,y\n", "column 'a' holds '', which is no number"),
        ("a.csv", "a,label\n1\n", "line 2: not as many fields"),
        ("a.csv", "label\nx\ny\n", "no columns of features"),
        ("a.npz", "nonsense", "can't be read"),
        ("a.txt", "nonsense", "is none of .npz"),
        ("a.parquet", "nonsense", "can't be read"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        load(tmp_path / name)
    with pytest.raises(UserError, match="there is no"):
        load(tmp_path / "nothing.npz")
