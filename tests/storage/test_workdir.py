"""What a workdir says of its training: read where it is whole, refused in one line where not."""

import json

import pytest

from churn_jax.errors import UserError
from churn_jax.storage import workdir
from churn_jax.storage.workdir import FailedRun


def test_a_config_comes_back(tmp_path):
    assert not workdir.has_config(tmp_path)
    workdir.write_config(tmp_path, {"runs": 3, "method": {"label": "ä"}})
    assert workdir.has_config(tmp_path)
    assert workdir.read_config(tmp_path) == {"runs": 3, "method": {"label": "ä"}}


def test_failed_runs_come_back_by_run(tmp_path):
    assert workdir.read_failed_runs(tmp_path) == {}
    failed = {10: FailedRun(7, None), 9: FailedRun(1234, 1000)}
    workdir.write_failed_runs(tmp_path, failed)
    assert list(workdir.read_failed_runs(tmp_path).items()) == [(9, failed[9]), (10, failed[10])]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_named(tmp_path, content):
    for name, read in (
        ("config.json", workdir.read_config),
        ("failed_runs.json", workdir.read_failed_runs),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as refused:
            read(tmp_path)
        assert str(refused.value).startswith(f"{tmp_path / name}: damaged: ")
        assert "\n" not in str(refused.value)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    """A flip in the name of the checksum adds a key, and those are checked by others."""
    values = {"runs": 3, "method": {"label": "ä", "beta": 0.25}, "seed": None}
    workdir.write_config(tmp_path, values)
    path = tmp_path / "config.json"
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = workdir.read_config(tmp_path)
        except UserError:
            continue
        assert {key: value for key, value in found.items() if key in values} == values
        assert len(found) - len(values) == (b'"crc32"' not in flipped)


def test_other_values_than_were_written_are_refused_and_another_layout_is_not(tmp_path):
    workdir.write_config(tmp_path, {"runs": 3, "seed": 0})
    path = tmp_path / "config.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"seed": 1}))
    with pytest.raises(UserError, match=r"config\.json: damaged: .*remove its 'crc32'"):
        workdir.read_config(tmp_path)
    path.write_text(json.dumps(dict(reversed(found.items())), indent=7))
    assert workdir.read_config(tmp_path) == {"runs": 3, "seed": 0}
    path.write_text('{"runs": 3}')  # of an earlier version
    assert workdir.read_config(tmp_path) == {"runs": 3}


@pytest.mark.parametrize("entry", ['{"x": {}}', '{"3": {}}', '{"3": {"step": "one"}}', '{"3": 5}'])
def test_a_failed_run_says_where(tmp_path, entry):
    (tmp_path / "failed_runs.json").write_text(entry)
    with pytest.raises(UserError, match="damaged"):
        workdir.read_failed_runs(tmp_path)


def test_a_folder_without_a_training_is_said_to_be_none(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json; is it the --workdir of a training\?"):
        workdir.read_config(tmp_path)
