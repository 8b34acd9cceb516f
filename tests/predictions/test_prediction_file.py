"""The prediction file: what is written is read back, and damage is said in one line."""

import dataclasses
import json
import zlib

import numpy as np
import pytest
import safetensors.numpy

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.mapped_safetensors import read_tensors
from churn_jax.predictions.readers import read

PROVENANCE = {
    "group": "baseline",
    "config_hash": "c0ffee",
    "run": 3,
    "seed": 0,
    "step": 20,
    "dataset": "digits",
    "split": "test",
    "data_fingerprint": "abc",
    "prediction": "first",
}


def example(members=2, examples=5, classes=3, **provenance):
    logits = np.random.default_rng(0).normal(size=(members, examples, classes))
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return prediction_file.Predictions(
        log_probs.astype(np.float32),
        np.arange(examples, dtype=np.int32) % classes,
        np.array([f"é/{i}" for i in range(examples)]),
        PROVENANCE | provenance,
    )


def test_what_is_written_is_read_back_mapped(tmp_path):
    path = prediction_file.step_dir(tmp_path, 20) / prediction_file.file_name(3)
    assert str(path).endswith("predictions/00000020/run_003.safetensors")
    written = example()
    prediction_file.write(path, written)
    read = prediction_file.read(path)
    np.testing.assert_array_equal(read.log_probs, written.log_probs)
    np.testing.assert_array_equal(read.labels, written.labels)
    np.testing.assert_array_equal(read.ids, written.ids)
    assert read.provenance == {"schema": 1, **written.provenance}
    assert isinstance(read.log_probs, np.memmap)
    assert [p.name for p in path.parent.iterdir()] == ["run_003.safetensors"]


def test_the_same_predictions_are_the_same_bytes(tmp_path):
    for name in "abcdefgh":
        prediction_file.write(tmp_path / name, example())
    assert len({(tmp_path / name).read_bytes() for name in "abcdefgh"}) == 1


def test_the_library_reads_the_file_too(tmp_path):
    prediction_file.write(tmp_path / "a.safetensors", example())
    tensors = safetensors.numpy.load_file(tmp_path / "a.safetensors")
    assert tensors["log_probs"].shape == (2, 5, 3)
    assert tensors["ids"].dtype == np.uint8


def test_the_counted_model_is_member_0_or_the_mean_of_the_probabilities():
    first, mean = example(), example(prediction="mean")
    np.testing.assert_array_equal(first.counted(), first.log_probs[0])
    np.testing.assert_allclose(
        np.exp(mean.counted(slice(1, 4))), np.exp(mean.log_probs[:, 1:4]).mean(0), rtol=1e-5
    )


def test_every_truncation_is_refused_in_one_line(tmp_path):
    whole = tmp_path / "whole.safetensors"
    prediction_file.write(whole, example())
    content = whole.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in range(0, len(content), 7):
        cut.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.safetensors") as caught:
            prediction_file.read(cut)
        assert "\n" not in str(caught.value)


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    """Flips in the old checksum and in the names of the two are the only ones that are not seen."""
    path = tmp_path / "a.safetensors"
    prediction_file.write(path, example())
    whole, content = prediction_file.read(path), path.read_bytes()
    unseen = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            found = prediction_file.read(path)
        except UserError:
            continue
        unseen += 1
        np.testing.assert_array_equal(found.log_probs, whole.log_probs)
        assert found.provenance == whole.provenance
    assert unseen <= len("crc32") + len("U8[4]") + 4


@pytest.mark.parametrize("name", ["log_probs", "labels", "ids"])
def test_the_damaged_array_is_named(name, tmp_path):
    path = tmp_path / "a.safetensors"
    prediction_file.write(path, example())
    content = bytearray(path.read_bytes())
    header_bytes = int.from_bytes(content[:8], "little")
    begin, _ = json.loads(content[8 : 8 + header_bytes])[name]["data_offsets"]
    content[8 + header_bytes + begin] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"damaged.*: {name} has other bytes"):
        prediction_file.read(path)


@pytest.mark.parametrize("keep_crc32", [True, False])
def test_files_of_earlier_versions_are_read_with_a_note(keep_crc32, tmp_path):
    path = tmp_path / "a.safetensors"
    prediction_file.write(path, example())
    assert prediction_file.read(path).note == ""
    tensors, metadata = read_tensors(path)
    kept = {name: np.array(t) for name, t in tensors.items() if keep_crc32 or name != "crc32"}
    provenance = json.loads(metadata["provenance"])
    del provenance["checksums"], provenance["crc32"]
    metadata["provenance"] = json.dumps(provenance)
    if keep_crc32:
        arrays = b"".join(kept[name].tobytes() for name in ("log_probs", "labels", "ids"))
        crc32 = zlib.crc32(metadata["provenance"].encode() + arrays)
        kept["crc32"] = np.frombuffer(crc32.to_bytes(4, "big"), np.uint8)
    safetensors.numpy.save_file(kept, path, metadata)
    note = prediction_file.read(path).note
    assert ("one checksum" if keep_crc32 else "without checksums") in note
    (source,) = read(path)
    assert source.notes == (note,)
    if keep_crc32:
        kept["labels"][0] ^= 1
        safetensors.numpy.save_file(kept, path, metadata)
        with pytest.raises(UserError, match="damaged"):
            prediction_file.read(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        prediction_file.read(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="folder"):
        prediction_file.read(tmp_path)


def test_another_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"kernel": np.zeros(3, np.float32)}, path)
    with pytest.raises(UserError, match="not a churn_jax prediction file"):
        prediction_file.read(path)


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    prediction_file.write(path, example(schema=2))
    with pytest.raises(UserError, match="schema 2"):
        prediction_file.read(path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"labels": np.full(5, 3, np.int32)}, "outside the 3 classes"),
        ({"labels": np.zeros(4, np.int32)}, r"int32 \[5\]"),
        ({"ids": np.array(["a", "b", "c", "d", "a"])}, "'a' is there 2 times"),
        ({"ids": np.array(["a"])}, "1 ids for 5 examples"),
        ({"log_probs": np.zeros((5, 3), np.float32)}, "member, example, class"),
        ({"log_probs": np.zeros((1, 5, 1), np.float32)}, "1 classes"),
        ({"log_probs": np.zeros((1, 5, 3), np.float64)}, "float32"),
    ],
)
def test_inconsistent_arrays_are_refused(change, fault):
    with pytest.raises(UserError, match=fault):
        dataclasses.replace(example(), **change)


def test_the_bytes_are_those_that_the_safetensors_library_writes(tmp_path):
    path = tmp_path / "run_000.safetensors"
    written = example(dataset='Käfer \a "quoted" \\ \u2028', class_names=["a", "b", "c"])
    prediction_file.write(path, written)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = safetensors.numpy.load_file(path)
    assert path.read_bytes() == safetensors.numpy.save(tensors, metadata=metadata)
