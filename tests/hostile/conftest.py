"""What commands are given beside the hostile input."""

import pytest

from tests.test_evaluate import make_workdir


@pytest.fixture
def runs(tmp_path):
    """A workdir of trained runs."""
    return make_workdir(tmp_path / "good")
