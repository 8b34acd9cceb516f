"""An exported model says the same without this package."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import churn_jax
from churn_jax import evaluate, export
from churn_jax.predictions import prediction_file
from churn_jax.training import loop
from tests.fixtures.experiments import PAIR, digits, make_config

PAIR = {key.replace(".", "__"): value for key, value in PAIR.items()}

# As somebody else would run it: nothing of this package can be imported.
ELSEWHERE = """
import sys
sys.modules["churn_jax"] = None
import numpy as np
import jax.export
from safetensors.numpy import load_file

program = jax.export.deserialize(open("model.jax_export", "rb").read())
for count in (1, 7):
    inputs = np.load("inputs.npy")[:count]
    found = np.asarray(program.call(load_file("weights.safetensors"), inputs))
np.save("found.npy", found)
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs with batch norm, whose mean predicts."""
    workdir = tmp_path_factory.mktemp("pairs")
    config = make_config(model__name="resnet8", method__prediction="mean", epochs=1.0, **PAIR)
    loop.train(config, workdir)
    evaluate.evaluate([workdir], workdir)
    return workdir


def test_it_says_the_same_where_this_package_is_not(pairs, tmp_path):
    export.main([str(pairs), "--run=1", f"--out={tmp_path}"])
    inputs = digits(64).test.images[:7]
    np.save(tmp_path / "inputs.npy", inputs)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = np.log(churn_jax.load(pairs, run=1).predict(inputs))
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-6)


def test_weights_have_their_names_and_the_card_its_numbers(pairs, tmp_path):
    export.export(pairs, tmp_path, 1)
    weights, model = load_file(tmp_path / "weights.safetensors"), churn_jax.load(pairs, run=1)
    for network, variables in enumerate(model.variables):
        bias = variables["params"]["logits"]["bias"]
        np.testing.assert_array_equal(weights[f"{network}.params.logits.bias"], bias)
    assert any(".batch_stats." in name for name in weights)
    facts = json.loads((tmp_path / "model.json").read_text())
    stored = prediction_file.read(
        prediction_file.step_dir(pairs, model.step) / prediction_file.file_name(1)
    )
    accuracy = (stored.counted().argmax(1) == digits(64).test.labels).mean()
    assert facts["accuracy"] == pytest.approx(accuracy)
    report = json.loads((pairs / "report.json").read_text())["groups"][0]
    assert facts["churn"] == {
        "mean": report["churn"]["mean"], "ci95": report["churn"]["ci95"], "runs": 2
    }  # fmt: skip
    assert facts["class_names"] == list("0123456789")
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("# resnet8 on digits\n")
    assert f"Accuracy: {accuracy:.2%} on 1,200 test examples" in card
    assert "prediction 'mean', the mean of 2 networks; run 1, step 4" in card


def test_one_network_has_plain_names_and_no_measures_of_another(pairs, tmp_path):
    export.export(pairs, tmp_path, prediction="first")
    assert "params.logits.bias" in load_file(tmp_path / "weights.safetensors")
    facts = json.loads((tmp_path / "model.json").read_text())
    assert not {"accuracy", "churn"} & facts.keys()
    assert (facts["prediction"], facts["networks"]) == ("first", 1)


@pytest.mark.parametrize("name", ["lenet5", pytest.param("resnet_v2_18", marks=pytest.mark.slow)])
def test_other_networks_of_the_package_are_exported_for_any_number_of_inputs(name, tmp_path):
    loop.train(make_config(model__name=name, epochs=0.25, runs=1), tmp_path / "W")
    model = churn_jax.load(tmp_path / "W")
    assert export.program(model, export.named(model.variables))
