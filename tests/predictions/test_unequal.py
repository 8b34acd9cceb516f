"""What may not be paired is named: which file, which example, and how many."""

import numpy as np
import pytest

from churn_jax import compare
from churn_jax.errors import UserError
from churn_jax.predictions.unequal import refuse_other_labels

HEADER = "id,label,prob_0,prob_1\n"


def test_files_whose_labels_contradict_each_other_are_refused(tmp_path):
    (tmp_path / "old.csv").write_text(HEADER + "a,0,.9,.1\nb,1,.2,.8\nc,1,.4,.6\nd,0,.7,.3\n")
    (tmp_path / "new.csv").write_text(HEADER + "d,0,.7,.3\nc,0,.4,.6\nb,1,.2,.8\na,1,.9,.1\n")
    out = tmp_path / "out"
    with pytest.raises(UserError) as refused:
        compare.main([f"{tmp_path}/old.csv", f"{tmp_path}/new.csv", f"--out={out}"])
    line = str(refused.value)
    assert "new.csv: the label of 'a' " in line
    assert "in 2 of 4 examples" in line
    assert not out.exists()


def test_the_same_labels_are_not_refused():
    labels, ids = np.array([1, 0, 1]), np.array(["a", "b", "c"])
    refuse_other_labels("new", labels, "old", labels.copy(), ids)
