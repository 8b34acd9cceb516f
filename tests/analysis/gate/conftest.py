"""Models that most conditions are held against."""

import pytest

from tests.analysis.gate.two_models import samples


@pytest.fixture(scope="module")
def pair():
    return samples([0, 1], ["v1", "v2"])


@pytest.fixture(scope="module")
def groups():
    return samples([0, 0, 0, 1, 1], ["baseline", "co-distilled"])
