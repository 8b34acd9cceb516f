"""The streaming pipeline: examples are read, decoded and cropped on the host, just in time.

Batch `step` holds positions `step·batch_size + i` of every run; position p is example
`order[p mod N]` of epoch `p div N`, as in the resident pipeline, and its augmentation is keyed by
run, epoch and example. So a batch is a pure function of its step: nothing needs to be remembered
to resume, and neither threads nor worker processes nor prefetching can change what comes out.
"""

import dataclasses
import functools
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import grain
import jax
import numpy as np
from absl import flags

from churn_jax.config import DataConfig
from churn_jax.data.augmentation import augment
from churn_jax.data.decoding import DecodedPicture, Picture, UndecodableImage
from churn_jax.data.examples import ArrayExamples, EncodedExamples, Examples
from churn_jax.data.preprocessing import DEFAULT_SIZE, evaluation_image, training_image
from churn_jax.system.console import say
from churn_jax.system.threads import available_cores

Batch = dict[str, np.ndarray]

_MAX_THREADS = 8
_BATCHES_PER_WORKER = 2
# What a batch holds of its examples, and of those that they are mixed with.
_NAMES = (("index", "image", "label"), ("partner", "partner_image", "partner_label"))


def stream(
    examples: Examples,
    order_fn: Callable[[int, int], np.ndarray],
    keys_fn: Callable[[int, int], np.ndarray],
    data: DataConfig,
    *,
    runs: Sequence[int],
    batch_size: int,
    first_step: int,
    num_steps: int,
    places: np.ndarray | None = None,
    mixing_fn: Callable[[int, int], np.ndarray] | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yields the training batches of steps `first_step` to `first_step + num_steps - 1`, in order.

    Args:
      examples: the training split.
      order_fn: (run, epoch) -> the order of that epoch, a permutation of `len(examples)`.
      keys_fn: (run, epoch) -> uint32 key data, to be folded with an example's index.
      data: image size, crop and flip.
      runs: the indices of the runs that are fed.
      batch_size: examples a run and step.
      first_step: where to start.
      num_steps: how many batches to yield.
      places: which examples of each batch to make, ascending; None is all of them. A process of
        several makes those of its own devices.
      mixing_fn: (run, epoch) -> with what each example is mixed, `mixing.ROW` [example]; None where
        nothing is.
      workers: processes that decode; 0 decodes in threads of this process. `order_fn`, `keys_fn`
        and `mixing_fn` are then called in the workers, where JAX is confined to the CPU.

    Yields:
      image: uint8 [run, example, height, width, channel], augmented.
      label: int32 [run, example].
      index: int32 [run, example], which of `examples` it is.
      key: uint32 [run, example, 2], the key of its epoch that was folded with `index`.
      partner, partner_image, partner_label: of the other example of a mix, likewise; share: float32
        [run, example], how much of it is the first one. Only with `mixing_fn`.
    """
    source = _TrainingSource(
        examples,
        _Memo(order_fn, 2 * len(runs)),
        _Memo(keys_fn, 2 * len(runs)),
        data,
        tuple(map(int, runs)),
        batch_size,
        np.arange(batch_size) if places is None else places,
        mixing_fn and _Memo(mixing_fn, 2 * len(runs)),
    )
    steps = grain.MapDataset.range(first_step, first_step + num_steps).map(source)
    augmented = host_augmentation(data)
    for batch in _read_ahead(steps, workers):
        key = batch["key"]
        batch["image"] = np.asarray(augmented(key, batch["index"], batch["image"]))
        if mixing_fn:
            other = augmented(key, batch["partner"], batch["partner_image"])
            batch["partner_image"] = np.asarray(other)
        yield batch


def evaluation_batches(
    examples: Examples,
    data: DataConfig,
    batch_size: int,
    *,
    places: np.ndarray | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yields a split in order, all of it; the last batch is filled up with zeros and masked.

    `places` are those of each batch whose images to make, ascending; None is all of them.

    Yields:
      image: uint8 [place, height, width, channel].
      mask: bool [example], False where there is no example; of the whole batch.
    """
    num_batches = -(-len(examples) // batch_size)
    source = _EvaluationSource(
        examples, data, batch_size, np.arange(batch_size) if places is None else places
    )
    batches = grain.MapDataset.range(num_batches).map(source)
    yield from _read_ahead(batches, workers)


@dataclasses.dataclass(frozen=True)
class _TrainingSource:
    """The batch of one step, but for what is augmented on the device."""

    examples: Examples
    order: Callable[[int, int], np.ndarray]
    keys: Callable[[int, int], np.ndarray]
    data: DataConfig
    runs: tuple[int, ...]
    batch_size: int
    places: np.ndarray
    mixing: Callable[[int, int], np.ndarray] | None = None

    def __call__(self, step: int) -> Batch:
        shape = (len(self.runs), len(self.places))
        images = (*shape, *_image_shape(self.examples, self.data))
        # Written in place: at this size every further copy would be of memory not yet mapped.
        batch: Batch = {"key": np.empty((*shape, 2), np.uint32)}
        if self.mixing:
            batch["share"] = np.empty(shape, np.float32)
        for index, image, label in _NAMES[: 2 if self.mixing else 1]:
            batch[index] = np.empty(shape, np.int32)
            batch[image] = np.empty(images, _dtype(self.examples))
            batch[label] = np.empty(shape, np.int32)
        positions = step * self.batch_size + self.places
        epochs, places = np.divmod(positions, len(self.examples))
        for i, run in enumerate(self.runs):
            for j, (epoch, place) in enumerate(zip(epochs, places, strict=True)):
                for name, value in self._one_example(run, int(epoch), int(place)).items():
                    batch[name][i, j] = value
        return batch

    def _one_example(self, run: int, epoch: int, place: int) -> dict[str, Any]:
        index, key = int(self.order(run, epoch)[place]), self.keys(run, epoch)
        found: dict[str, Any] = {"key": key}
        found |= zip(_NAMES[0], (index, *self._image(index, key)), strict=True)
        if self.mixing:
            partner, share = self.mixing(run, epoch)[index]
            found |= zip(_NAMES[1], (partner, *self._image(int(partner), key)), strict=True)
            found["share"] = share
        return found

    def _image(self, index: int, key: np.ndarray) -> tuple[np.ndarray, int]:
        """The picture and label of one example, in an epoch of that key."""
        shape = _image_shape(self.examples, self.data)
        picture, label = _picture(self.examples, index)

        def prepare(picture: Picture) -> np.ndarray:
            if self.data.crop == "resized":
                return training_image(picture, shape[0], self.data.flip, generator(key, index))
            if isinstance(picture, DecodedPicture):
                return picture.image
            return evaluation_image(picture, shape[0])

        return _or_blank(prepare, picture, shape, self.data), label


@dataclasses.dataclass(frozen=True)
class _EvaluationSource:
    """This process's images of one batch of a split in order."""

    examples: Examples
    data: DataConfig
    batch_size: int
    places: np.ndarray

    def __call__(self, batch: int) -> Batch:
        start = batch * self.batch_size
        indices = start + self.places
        images = self._read(indices[indices < len(self.examples)])
        missing = len(indices) - len(images)
        return {
            "image": np.pad(images, [(0, missing)] + [(0, 0)] * (images.ndim - 1)),
            "mask": start + np.arange(self.batch_size) < len(self.examples),
        }

    def _read(self, indices: np.ndarray) -> np.ndarray:
        if isinstance(self.examples, ArrayExamples):
            return self.examples.images[indices]
        shape = _image_shape(self.examples, self.data)
        prepare = functools.partial(evaluation_image, size=shape[0])
        images = np.empty((len(indices), *shape), np.uint8)
        for place, index in enumerate(indices):
            picture, _ = _picture(self.examples, int(index))
            images[place] = _or_blank(prepare, picture, shape, self.data)
        return images


def _picture(examples: Examples, index: int) -> tuple[Picture, int]:
    """The picture and label of one example."""
    if isinstance(examples, ArrayExamples):
        return DecodedPicture(examples.images[index]), int(examples.labels[index])
    example = cast(EncodedExamples, examples).encoded(index)
    return example.picture, example.label


def _or_blank(
    prepare: Callable[[Picture], np.ndarray],
    picture: Picture,
    shape: tuple[int, ...],
    data: DataConfig,
) -> np.ndarray:
    """What `prepare` makes of `picture`; all black where that doesn't decode, if it may be."""
    try:
        return prepare(picture)
    except UndecodableImage as error:
        if data.undecodable == "stop":
            raise
        say(f"blank, because {error}")
        return np.zeros(shape, np.uint8)


class _Memo:
    """The last few results of `function`: an epoch's order is asked for at every example."""

    def __init__(self, function: Callable[[int, int], np.ndarray], size: int):
        self._function, self._size = function, size
        self._cached = functools.lru_cache(size)(lambda *args: np.asarray(function(*args)))

    def __call__(self, run: int, epoch: int) -> np.ndarray:
        return self._cached(run, epoch)

    def __reduce__(self):
        return _Memo, (self._function, self._size)


def host_augmentation(data: DataConfig) -> Callable[..., Any]:
    """The resident pipeline's augmentation of a batch, with the same keys: the same pixels.

    On the host's processor: on the accelerator it would wait behind the training steps.
    """
    if data.crop == "resized":
        return lambda key, index, image: image

    def one_example(key: jax.Array, index: jax.Array, image: jax.Array) -> jax.Array:
        wrapped = jax.random.wrap_key_data(key, impl="threefry2x32")
        return augment(jax.random.fold_in(wrapped, index), image, data)

    program, host = jax.jit(jax.vmap(jax.vmap(one_example))), _host()

    def augmented(key: np.ndarray, index: np.ndarray, image: np.ndarray) -> jax.Array:
        with jax.default_device(host):
            return program(key, index, image)

    return augmented


def _host() -> jax.Device | None:
    """This process's processor, as JAX shows it; None where JAX_PLATFORMS leaves it out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def generator(key: np.ndarray, index: int) -> np.random.Generator:
    """What augments one example of one epoch of one run."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*key.tolist(), index])))


def _image_shape(examples: Examples, data: DataConfig) -> tuple[int, ...]:
    if isinstance(examples, ArrayExamples):
        return examples.images.shape[1:]
    size = data.image_size or DEFAULT_SIZE
    return size, size, 3


def _dtype(examples: Examples) -> np.dtype:
    return examples.images.dtype if isinstance(examples, ArrayExamples) else np.dtype(np.uint8)


def _read_ahead(batches: grain.MapDataset, workers: int) -> Iterator[Batch]:
    """Iterates in order while further batches are made in threads or worker processes."""
    threads = 1 if workers else min(_MAX_THREADS, available_cores())
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    dataset = batches.to_iter_dataset(ahead)
    if workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain's processes read flags, also in a notebook
        options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=_BATCHES_PER_WORKER)
        dataset = dataset.mp_prefetch(options, worker_init_fn=_confine_worker)
    return iter(dataset)


def _confine_worker(index: int, count: int) -> None:
    """Keeps JAX in a worker process off the accelerator, which belongs to the main process.

    A terminal's Ctrl-C reaches workers too; the main process still needs them for its last step.
    """
    del index, count
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jax.config.update("jax_platforms", "cpu")
