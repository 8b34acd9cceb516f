"""Images whose neighbouring pixels lie side by side in the channels.

A TPU's registers have 128 lanes, and XLA lays the channels in them: images of 64 channels fill
half. Packed by 2, an image [example, height, width, channel] is [example, height, width / 2,
2 · channel], and fills them. A convolution of packed images is one again, with a kernel widened by
zeros, and its weights are the same.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


def pack(x: jax.Array, columns: int) -> jax.Array:
    """`columns` neighbouring pixels of a row as one; they must divide the width."""
    # A reshape would do, but a TPU takes it apart and puts it together again in float32.
    return jnp.concatenate([x[:, :, at::columns] for at in range(columns)], axis=-1)


def widened(kernel: jax.Array, starts: Sequence[int], room: int) -> jax.Array:
    """A kernel [height, width, channel, filter] once a pixel of what comes out of one pass.

    Pixel i's begins at column `starts[i]` of `room`, between zeros: [height, room, channel,
    pixels · filter].
    """
    height, width, channels, _ = kernel.shape
    placed = [jnp.pad(kernel, ((0, 0), (at, room - at - width), (0, 0), (0, 0))) for at in starts]
    return jnp.stack(placed, 3).reshape(height, room, channels, -1)


class PackedConv(nn.Module):
    """A convolution with a square kernel, padded as 'SAME' and without a bias.

    Its input is packed by `columns`, its result by `columns_out`; with 1 and 1 it is `nn.Conv`. The
    parameters are `nn.Conv`'s in any case. `columns` must divide stride · columns_out, so that
    blocks of the result begin where blocks of the input do, and `columns_out` the result's width.
    """

    filters: int
    size: int
    stride: int = 1
    columns: int = 1
    columns_out: int = 1
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[example, height, width / columns, columns · channel] to the same of filters."""
        height, width = x.shape[1], x.shape[2] * self.columns
        shape = (self.size, self.size, x.shape[3] // self.columns, self.filters)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        above, below = self._padding(height)
        left = self._padding(width)[0]
        # A pixel `p` of the result's block sees the input from `stride · p - left` on, counted from
        # where the block's own input begins: `first` to `last` are the blocks of input it takes.
        first = -left // self.columns
        last = (self.stride * (self.columns_out - 1) - left + self.size - 1) // self.columns
        block_stride = self.stride * self.columns_out // self.columns
        blocks = -(-width // self.stride) // self.columns_out
        beyond = (blocks - 1) * block_stride + last - (x.shape[2] - 1)
        start, taken = -left - first * self.columns, last - first + 1
        starts = [start + self.stride * pixel for pixel in range(self.columns_out)]
        wide = widened(kernel, starts, room=taken * self.columns)
        return jax.lax.conv_general_dilated(
            x,
            wide.reshape(self.size, taken, -1, wide.shape[-1]),
            (self.stride, block_stride),
            ((above, below), (-first, beyond)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def _padding(self, side: int) -> tuple[int, int]:
        """As 'SAME' pads `side` pixels: (before, after)."""
        total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2
