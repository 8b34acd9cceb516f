"""Operations counted in traced programs."""

import jax
import jax.numpy as jnp

from churn_jax.planner.arithmetic import flops


def count(fn, *shapes):
    return flops(jax.make_jaxpr(fn)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


def convolve(x, kernel, stride=1):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=numbers
    )


def test_matrix_products():
    assert count(jnp.matmul, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert count(jax.vmap(jnp.matmul), (7, 3, 4), (7, 4, 5)) == 7 * 2 * 3 * 4 * 5


def test_a_convolution_and_each_of_its_gradients_cost_the_same():
    forward = 2 * (8 * 8 * 3) * (3 * 3 * 4) * 6
    shapes = (3, 8, 8, 4), (3, 3, 4, 6)
    assert count(convolve, *shapes) == forward
    assert count(jax.grad(lambda x, k: convolve(x, k).sum()), *shapes) == 2 * forward
    gradients = jax.grad(lambda x, k: convolve(x, k, 2).sum(), argnums=(0, 1))
    assert count(gradients, *shapes) == 3 * forward / 4


def test_loops_are_multiplied_and_of_forms_for_platforms_the_cheapest_counts():
    def loop(x, y):
        return jax.lax.map(lambda row: row @ y, x)

    assert count(jax.jit(loop), (5, 3, 4), (4, 2)) == 5 * 2 * 3 * 4 * 2

    def form(x, y):
        return jax.lax.platform_dependent(x, y, cpu=lambda x, y: x @ y @ y, default=jnp.matmul)

    assert count(form, (3, 4), (4, 4)) == 2 * 3 * 4 * 4
