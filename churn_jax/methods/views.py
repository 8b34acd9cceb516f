"""Test-time augmentation: a picture is predicted from several views, whose mean probability counts.

What a network makes of a picture and of the same picture mirrored or moved by a pixel differs by
chance as two trainings do, and the mean over views takes both away: less churn for no training, at
the cost of predicting as often as there are views. Averages of predictions over views go back to
Krizhevsky et al. (2012); Summers & Dinneen (2021) take them against variability.
"""

import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

# With (moves, mirrors): which moves by (rows, columns), and whether each also mirrored.
_AROUND = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
VIEWS: dict[str, tuple[tuple[tuple[int, int], ...], tuple[bool, ...]]] = {
    "one": (((0, 0),), (False,)),
    "flip": (((0, 0),), (False, True)),
    "shift": (_AROUND, (False,)),
    "flip_shift": (_AROUND, (False, True)),
}


def count(kind: str) -> int:
    """How many views there are: 1 of 'one', 2 of 'flip', 5 of 'shift' and 10 of 'flip_shift'."""
    moves, mirrors = VIEWS[kind]
    return len(moves) * len(mirrors)


def mirrors(kind: str) -> bool:
    """Whether some views are mirrored, left and right."""
    return True in VIEWS[kind][1]


def of(images: jax.Array, kind: str) -> Iterator[jax.Array]:
    """Each view of pictures [example, height, width, channel]; the first are the pictures.

    What moves in from outside is 0, as it is for training's crops.
    """
    height, width = images.shape[1:3]
    around = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves, mirrored = VIEWS[kind]
    for mirror, (rows, columns) in itertools.product(mirrored, moves):
        moved = around[:, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]
        yield moved[:, :, ::-1] if mirror else moved


def mean_log_probs(
    log_probs: Callable[[jax.Array], jax.Array], images: jax.Array, kind: str
) -> jax.Array:
    """The logarithm of the mean probability over all views, float32 [..., example, class].

    Args:
      log_probs: from pictures [example, …] to log-probabilities [..., example, class]; it is asked
        once, for all views.
      images: the pictures, as the data set has them.
      kind: one of `VIEWS`; 'one' is `log_probs` itself.
    """
    if kind == "one":
        return log_probs(images)
    found = log_probs(jnp.concatenate(list(of(images, kind))))
    *lead, _, classes = found.shape
    apart = found.reshape(*lead, count(kind), images.shape[0], classes)
    return jax.nn.logsumexp(apart, axis=-3) - np.float32(np.log(count(kind)))
