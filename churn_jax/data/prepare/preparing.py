"""`prepare`: which reader, what is checked, and the writing."""

from collections.abc import Callable, Iterable, Iterator

from etils import epath

from churn_jax.data.prepare.archives import CHECKSUMS, check_archive, find
from churn_jax.data.prepare.cifar import cifar10, cifar100
from churn_jax.data.prepare.copies import convert, find_copy
from churn_jax.data.prepare.imagenet import imagenet
from churn_jax.data.prepare.inaturalist import inaturalist
from churn_jax.data.prepare.original import Original, RawExample
from churn_jax.data.prepare.restarts import rewriting
from churn_jax.data.prepare.svhn import svhn
from churn_jax.data.sources import tfds_sets
from churn_jax.data.tfds_writer import write_dataset
from churn_jax.errors import UserError, suggest

ORIGINALS: dict[str, Callable[[epath.Path], Original]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
    "imagenet": imagenet,
    "inaturalist": inaturalist,
}

# Examples a split, as published.
COUNTS = {
    "cifar10": {"train": 50_000, "test": 10_000},
    "cifar100": {"train": 50_000, "test": 10_000},
    "svhn": {"train": 73_257, "test": 26_032},
    "imagenet": {"train": 1_281_167, "validation": 50_000},
    "inaturalist": {"train": 437_513, "validation": 24_426},
}

_JPEGS = ("imagenet", "inaturalist")

_REPORT_EVERY = 5_000


def prepare(
    name: str,
    source: epath.PathLike,
    out: epath.PathLike,
    *,
    partial: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> epath.Path:
    """Writes a data set in array_record form from its original files, or from TFDS's copy.

    Shards that an interrupted call has finished are kept.

    Args:
      name: the config's name of the data set.
      source: the folder with the files, or an archive.
      out: what `config.data.dir` will name.
      partial: accept fewer examples than were published, and archives with other checksums.
      say: is told how far it is.

    Returns:
      The version folder.

    Raises:
      UserError: an unknown name, or files that are missing, damaged or not the original ones.
    """
    if name not in ORIGINALS:
        raise UserError(f"no data set {name!r} to prepare{suggest(name, ORIGINALS)}")
    source, out = epath.Path(source).expanduser(), epath.Path(out).expanduser()
    if not source.exists():
        raise UserError(f"--source: there is no {source}")
    rewrite = rewriting(say) if name in _JPEGS else iter
    if folder := find_copy(source, out, tfds_name(name)):
        say(f"{name}: converting {folder}")
        return convert(folder, out, tfds_name(name), rewrite)
    if not partial:
        for archive in CHECKSUMS:
            if path := find(source, archive):
                say(f"{name}: checking {path.name}")
                check_archive(path)
    original = ORIGINALS[name](source)
    _check(name, original, partial)
    return write_dataset(
        out,
        name=original.tfds_name,
        version=original.version,
        features=original.features,
        splits={
            split: (of_split.count, _reporting(of_split.examples, name, split, of_split.count, say))
            for split, of_split in original.splits.items()
        },
        rewrite=rewrite,
    )


def tfds_name(name: str) -> str:
    """TFDS's name of a data set of `ORIGINALS`."""
    return getattr(tfds_sets, name).tfds_name


def _check(name: str, original: Original, partial: bool) -> None:
    num_classes = original.features["label"].num_classes
    expected_classes = getattr(tfds_sets, name).num_classes
    if num_classes != expected_classes:
        raise UserError(f"{name}: {num_classes} class names found, expected {expected_classes}")
    for split, expected in COUNTS[name].items():
        found = original.splits[split].count
        if not found or (found != expected and not partial):
            raise UserError(
                f"{name}: {found} examples in {split}, published are {expected}; if you mean to "
                "use fewer, pass --partial"
            )


def _reporting(
    examples: Iterable[RawExample], name: str, split: str, total: int, say: Callable[[str], None]
) -> Iterator[RawExample]:
    for count, example in enumerate(examples, 1):
        yield example
        if count % _REPORT_EVERY == 0 or count == total:
            say(f"{name}: {split} {count:,} of {total:,} ({count / total:.0%})")
