"""Files of data sets that are damaged, or are something else."""

import gzip

import numpy as np
import pytest
from PIL import Image

from churn_jax import config, data
from tests.fixtures.idx import idx_bytes, write_fashion_mnist
from tests.hostile.refusals import flat, refusal

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


def idx_faults(folder):
    """{fault: (file, content)} of Fashion-MNIST's test images and labels."""
    images = np.zeros((10, 28, 28), np.uint8)
    labels = np.arange(10, dtype=np.uint8)
    whole = idx_bytes(images)
    of_images = {
        "wrong size": idx_bytes(np.zeros((10, 32, 32), np.uint8)),
        "not square": idx_bytes(np.zeros((10, 28, 27), np.uint8)),
        "flat": idx_bytes(np.zeros((10, 784), np.uint8)),
        "colour": idx_bytes(np.zeros((10, 28, 28, 3), np.uint8)),
        "fewer": idx_bytes(images[:9]),
        "more": idx_bytes(np.zeros((11, 28, 28), np.uint8)),
        "none": idx_bytes(images[:0]),
        "truncated": whole[:-1],
        "too long": whole + b"x",
        "header only": whole[:16],
        "half a header": whole[:7],
        "empty": b"",
        "text": b"hello",
        "floats": b"\0\0\x0d" + whole[3:],
        "huge header": b"\0\0\x08\x03" + b"\xff" * 12 + whole[16:],
        "html": b"<!doctype html><title>404</title>",
        "a pickle": b"\x80\x04\x95\x0b\x00",
        "half a gzip": gzip.compress(whole)[:-9],
        "gzip of garbage": b"\x1f\x8b" + b"x" * 50,
        "gzip bomb": gzip.compress(bytes(1 << 20), 9) * (1 << 9),  # members in a row: 512 MiB
    }
    of_labels = {
        "labels longer": idx_bytes(np.arange(11, dtype=np.uint8) % 10),
        "labels shorter": idx_bytes(labels[:9]),
        "label 10": idx_bytes(np.where(labels == 3, 10, labels)),
        "label 255": idx_bytes(np.full(10, 255, np.uint8)),
        "one-hot": idx_bytes(np.eye(10, dtype=np.uint8)),
        "no labels": idx_bytes(labels[:0]),
        "images as labels": whole,
    }
    for name, content in of_images.items():
        yield name, "t10k-images-idx3-ubyte", content
    for name, content in of_labels.items():
        yield name, "t10k-labels-idx1-ubyte", content


IDX_FAULTS = [name for name, _, _ in idx_faults(None)]


@pytest.mark.parametrize("fault", IDX_FAULTS)
def test_faulty_idx_files(fault, tmp_path, capsys):
    write_fashion_mnist(tmp_path, compressed=False)
    name, content = next((n, c) for f, n, c in idx_faults(tmp_path) if f == fault)
    (tmp_path / name).write_bytes(content)
    values = {"data.name": "fashion_mnist", "data.dir": str(tmp_path)}
    assert "t10k" in refusal(lambda: data.load(config.check(flat(values)).data), capsys)


@pytest.mark.parametrize("fault", ["missing", "folder", "loop"])
def test_idx_files_that_are_none(fault, tmp_path, capsys):
    write_fashion_mnist(tmp_path, compressed=False)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault == "loop":
        path.symlink_to(path)
    values = {"data.name": "fashion_mnist", "data.dir": str(tmp_path)}
    assert path.name in refusal(lambda: data.load(config.check(flat(values)).data), capsys)


CSV = {
    "empty": "",
    "header only": "path,label\n",
    "no label": "path\na.png\n",
    "no header": "a.png,cat\nb.png,dog\n",
    "semicolons": "path;label\na.png;cat\n",
    "one class": "path,label\na.png,cat\nb.png,cat\n",
    "twice": "path,label\na.png,cat\na.png,dog\n",
    "short row": "path,label\na.png\nb.png,dog\n",
    "long row": "path,label\na.png,cat,dog,owl\nb.png,dog\n",
    "empty label": "path,label\na.png,\nb.png,dog\n",
    "empty path": "path,label\n,cat\nb.png,dog\n",
    "bad split": "path,label,split\na.png,cat,trian\nb.png,dog,test\n",
    "no test": "path,label,split\na.png,cat,train\nb.png,dog,train\n",
    "no train": "path,label,split\na.png,cat,test\nb.png,dog,test\n",
    "outside": "path,label,split\n../../etc/passwd,cat,train\nb.png,dog,test\n",
    "absolute": "path,label,split\n/etc/passwd,cat,train\nb.png,dog,test\n",
    "not there": "path,label,split\nzz.png,cat,train\nb.png,dog,test\n",
    "zero byte": "path,label,split\na\0.png,cat,train\nb.png,dog,test\n",
    "open quote": 'path,label\n"a.png,cat\nb.png,dog\n',
    "binary": "\x00\x01\x02\x03" * 50,
    "latin1": b"path,label\n\xff.png,cat\nb.png,dog\n",
    "huge field": "path,label\n" + "x" * 200_000 + ",cat\nb.png,dog\n",
}


@pytest.mark.parametrize("fault", CSV)
def test_nonsense_in_lists_of_pictures(fault, tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    path = tmp_path / "list.csv"
    content = CSV[fault]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    values = {"data.name": "image_folder", "data.dir": str(path), "data.image_size": 32}

    def load():
        dataset = data.load(config.check(flat(values | {"data.num_train": 0})).data)
        for examples in (dataset.train, dataset.test):
            _ = [examples[i] for i in range(len(examples))]

    line = refusal(load, capsys)
    assert "list.csv" in line or ".png" in line or "passwd" in line


def test_a_loop_among_folders_of_pictures_ends(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(30):
            Image.new("L", (9, 9)).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "again").symlink_to(tmp_path / name)
    values = {"data.name": "image_folder", "data.dir": str(tmp_path), "data.num_train": 0}
    dataset = data.load(config.check(flat(values)).data)
    assert len(dataset.train) + len(dataset.test) == 60


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "YCbCr"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 2)])
def test_pictures_of_any_mode_and_size_are_read(mode, size, tmp_path):
    suffix = {"CMYK": "jpg", "F": "tiff", "YCbCr": "jpg", "I;16": "png"}.get(mode, "png")
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        Image.new(mode, size).save(tmp_path / name / f"{i}.{suffix}")
    from churn_jax.data.decoding import decode

    content = (tmp_path / "cat" / f"0.{suffix}").read_bytes()
    assert decode(content, "x").shape == (size[1], size[0], 3)
