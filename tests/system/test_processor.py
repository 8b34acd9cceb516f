"""What a processor is called, and what the compiler is asked to do for it."""

import platform
from pathlib import Path

import pytest

from churn_jax.system import processor
from tests.fixtures.experiments import assert_close, make_config, train_steps

CPUINFO = """processor\t: 0
model name\t: Some Processor
flags\t\t: fpu sse2 {}

processor\t: 1
model name\t: Another
"""


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("avx avx2 avx512f avx512bw", "Some Processor, AVX-512"),
        ("avx avx2 fma", "Some Processor, AVX2"),
        ("avx", "Some Processor"),
    ],
)
def test_processors_of_one_name_are_told_apart(monkeypatch, flags, name):
    monkeypatch.setattr(Path, "read_text", lambda path: CPUINFO.format(flags))
    assert processor.name() == name


def test_without_cpuinfo_the_platform_names_it(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert processor.name() == (platform.processor() or platform.machine())
    assert not processor.has_avx512()


def test_convolutions_left_to_the_compiler_itself_train_to_the_same_numbers(monkeypatch):
    trained = {}
    for avx512 in (False, True):
        monkeypatch.setattr(processor, "has_avx512", lambda has=avx512: has)
        state, metrics = train_steps(make_config(model__name="resnet8", runs=1), steps=2)
        trained[avx512] = state.params, metrics
    assert_close(trained[False], trained[True], rtol=1e-4)
