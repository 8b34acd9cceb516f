"""Writes a data set in ImageNet's form (TFDS, array_record) of generated pictures, and as a folder.

    python benchmarks/make_pictures.py --out=/tmp/pictures --count=20000

The pictures are windows of generated scenes with detail at all scales, of ImageNet's usual sizes
and, at JPEG quality 90, about as heavy: 77 kB on average. The data set's get restart markers, as
`launch/prepare_data.py` gives them, where jpegtran is installed (apt install
libjpeg-turbo-progs); the folder's, which others read, stay as they are.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from churn_jax.data.prepare.restarts import rewriting
from churn_jax.data.tfds_writer import write_dataset

SIZES = ((375, 500), (500, 375), (333, 500), (500, 500), (480, 640), (768, 1024))
WEIGHTS = (0.55, 0.15, 0.12, 0.08, 0.07, 0.03)
SCENES = 40
SCENE_SIZE = 1100
NUM_VALIDATION = 500


def scene(seed: int) -> Image.Image:
    """A picture whose detail at each scale is as strong as in photographs."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((SCENE_SIZE, SCENE_SIZE, 3), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256, 512):
        grid = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(grid).resize((SCENE_SIZE, SCENE_SIZE), Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, np.float32) * (4 / cells) ** 0.5
    pixels += rng.normal(0, 14, pixels.shape)
    low, high = np.percentile(pixels, (1, 99))
    return Image.fromarray(((pixels - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8))


def pictures(scenes: list[Image.Image], count: int, seed: int) -> Iterator[bytes]:
    """JPEGs of random windows of the scenes."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        height, width = SIZES[rng.choice(len(SIZES), p=WEIGHTS)]
        left, top = rng.integers(SCENE_SIZE - width + 1), rng.integers(SCENE_SIZE - height + 1)
        window = scenes[rng.integers(len(scenes))].crop((left, top, left + width, top + height))
        buffer = io.BytesIO()
        window.save(buffer, format="JPEG", quality=90)
        yield buffer.getvalue()


def main() -> None:
    """Writes OUT/imagenet2012/5.1.0 and, of the same pictures, OUT/folder/train/CLASS/NAME.JPEG."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    scenes = [scene(seed) for seed in range(SCENES)]
    labels_file = Path(tfds.__file__).parent / "datasets/imagenet2012/labels.txt"
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names_file=labels_file),
            "file_name": tfds.features.Text(),
        }
    )
    names = labels_file.read_text().split()

    def examples(split: str, count: int, seed: int) -> Iterator[dict]:
        for index, image in enumerate(pictures(scenes, count, seed)):
            synset = names[index % 1000]
            path = options.out / "folder" / split / synset / f"{synset}_{index}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
            yield {"image": image, "label": index % 1000, "file_name": path.name}

    counts = {"train": options.count, "validation": NUM_VALIDATION}
    write_dataset(
        options.out,
        name="imagenet2012",
        version="5.1.0",
        features=features,
        splits={
            split: (count, examples(split, count, seed))
            for seed, (split, count) in enumerate(counts.items())
        },
        examples_per_shard=2_000,
        rewrite=rewriting(print),
    )


if __name__ == "__main__":
    main()
