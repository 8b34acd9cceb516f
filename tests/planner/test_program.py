"""The reader of compiled programs, on a small one with a loop inside a loop."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from churn_jax.planner.program import Program

HLO = (Path(__file__).parents[1] / "fixtures/tpu_program.hlo").read_text()


@pytest.fixture(scope="module")
def timeline():
    return {timed.name: timed for timed in Program(HLO).timeline()}


def test_bodies_of_loops_count_as_often_as_they_run(timeline):
    times = {name: timed.times for name, timed in timeline.items()}
    once = dict.fromkeys(("fusion.1", "pad.1", "kernel.1", "timed.1", "multiply.1"), 1)
    assert times == once | {"copy.1": 5 * 3, "fusion.2": 5}


def test_cycles_are_the_compilers(timeline):
    cycles = {name: timed.cycles for name, timed in timeline.items() if timed.kind != "reckoned"}
    known = {"fusion.1": 1000, "copy.1": 7, "fusion.2": 20, "multiply.1": 30, "timed.1": 11}
    assert cycles == known


def test_what_the_compiler_gives_no_time_for_is_reckoned_as_if_elementwise(timeline):
    elementwise = [timeline[name] for name in ("fusion.2", "multiply.1", "timed.1")]
    cycles = sum(timed.cycles * timed.times for timed in elementwise)
    moved = sum(timed.bytes * timed.times for timed in elementwise)
    pad = timeline["pad.1"]
    assert pad.bytes == 4 * 8 * (4 + 16) + 4
    assert pad.cycles == round(pad.bytes / (moved / cycles))


def test_kinds_and_places(timeline):
    kinds = {name: timed.kind for name, timed in timeline.items()}
    assert kinds == {
        "fusion.1": "convolutions",
        "copy.1": "copies",
        "fusion.2": "elementwise",
        "multiply.1": "elementwise",
        "pad.1": "reckoned",
        "kernel.1": "reckoned",
        "timed.1": "elementwise",
    }
    assert timeline["fusion.2"].source == "jit(body)/while/body/gather"


def test_bytes_are_those_read_and_written(timeline):
    assert timeline["fusion.1"].bytes == 2 * (8 * 16 + 16 * 4) + 4 * 8 * 4
    # Of the table [100, 8] one row is read; the place is 4 bytes, the result a row.
    assert timeline["fusion.2"].bytes == 32 + 4 + 32


def test_instructions_are_found_wherever_they_run():
    times = {each.name: times for each, times in Program(HLO).executed()}
    assert times["all-reduce.1"] == 5
    assert times["all-gather.1"] == 1  # on another unit, beside the core's work


def test_custom_calls_that_nobody_times_are_no_longer_free(timeline):
    assert timeline["kernel.1"].bytes == 2 * 4 * 8 * 4
    assert timeline["kernel.1"].cycles > 0
    assert Program(HLO).unknown() == {"tpu_custom_call": 1}  # neither notes nor what has cycles


def test_the_largest_convolution_counts_the_holes_of_what_it_dilates():
    """A strided convolution's gradient, on CPU, which copies both operands."""

    def strided(x):
        return jax.lax.conv_general_dilated(
            x, jnp.ones((3, 3, 8, 5)), (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    transposed = jax.linear_transpose(strided, jax.ShapeDtypeStruct((4, 8, 8, 8), jnp.float32))
    cotangent = jax.ShapeDtypeStruct((4, 4, 4, 5), jnp.float32)
    program = Program(jax.jit(transposed).lower(cotangent).compile().as_text())
    image, kernel = 4 * 4 * 4 * 5 * 4, 3 * 3 * 8 * 5 * 4
    assert program.largest_convolution() == 2 * 2 * image + kernel
    assert Program("").largest_convolution() == 0
