"""The multiplications and additions that a traced step's mathematics needs.

Counted before compilation, of convolutions and matrix products alone, so that padding and whatever
else a compiler adds to fill a machine doesn't pass for work.
"""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend import core


def flops(jaxpr: core.Jaxpr) -> int:
    """Operations of one execution on one device; where there is a choice, of the cheapest branch.

    (The choices in a step are between forms of the same mathematics for different platforms.)
    """
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    if name == "dot_general":
        ((contracted, _), _) = params["dimension_numbers"]
        shape = _shape(equation.invars[0])
        terms = math.prod(shape[axis] for axis in contracted)
        return 2 * terms * math.prod(_shape(equation.outvars[0]))
    if name == "cond":
        return min(flops(branch.jaxpr) for branch in params["branches"])
    times = params["length"] if name == "scan" else 1
    return times * sum(flops(inner) for value in params.values() for inner in _jaxprs(value))


def _of_convolution(equation: core.JaxprEqn) -> int:
    """An input with holes (`lhs_dilation`), as in gradients of strides, has work in few places."""
    params = equation.params
    kernel = _shape(equation.invars[1])
    filters = kernel[params["dimension_numbers"].rhs_spec[0]]
    terms = math.prod(kernel) // filters / math.prod(params["lhs_dilation"])
    return round(2 * terms * math.prod(_shape(equation.outvars[0])))


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _jaxprs(value: Any) -> Iterator[core.Jaxpr]:
    """The programs inside an equation's parameter."""
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _jaxprs(item)
