"""Pictures per second and core: our streaming pipeline beside torchvision's and tf.data's.

    python benchmarks/make_pictures.py --out=/tmp/pictures --count=20000
    python benchmarks/pipeline.py --pictures=/tmp/pictures --peers_python=PYTHON

Every contender reads the same pictures in the same order, cuts the same boxes, resizes to 224×224,
mirrors the same half and forms uint8 batches of 256: the ImageNet training recipe. Each runs in a
process of its own, PYTHON being one with torch, torchvision and tensorflow-cpu (this one, if it is
not named). What is counted is processor time, over all threads, since a shared machine's clock says
little; the turns alternate, and the best of each is told.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BATCH, SIZE, WARM_UP = 256, 224, 1
CONTENDERS = ("churn_jax", "torchvision", "tf.data")


def main() -> None:
    """Runs all contenders, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=Path, required=True, help="of make_pictures.py")
    parser.add_argument("--peers_python", default=sys.executable)
    parser.add_argument("--batches", type=int, default=16, help=f"of {BATCH}, each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--out", type=Path, help="folder for pipeline.json")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run, options.pictures, options.batches)))
        return
    contenders = options.contenders.split(",")
    write_plan(options.pictures, options.batches)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.turns):
        for name in contenders:
            python = sys.executable if name == "churn_jax" else options.peers_python
            arguments = [f"--pictures={options.pictures}", f"--batches={options.batches}"]
            command = [python, __file__, *arguments, f"--run={name}"]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rates[name].append(json.loads(output.splitlines()[-1]))
    best = {name: max(values) for name, values in rates.items()}
    for name, values in rates.items():
        turns = ", ".join(f"{value:.0f}" for value in values)
        print(f"{name:12} {best[name]:6.0f} pictures per second and core (turns: {turns})")
    peers = [best[name] for name in contenders if name != "churn_jax"]
    if "churn_jax" in best and peers:
        print(f"ours to the faster peer's: {best['churn_jax'] / max(peers):.2f}")
    if options.out:
        report = {"pictures_per_second_and_core": best, "turns": rates}
        (options.out / "pipeline.json").write_text(json.dumps(report, indent=1) + "\n")


def measure(name: str, pictures: Path, batches: int) -> float:
    """Pictures per second of processor time; the first batches are not counted."""
    plan = dict(np.load(_plan(pictures)))
    stream = {"churn_jax": ours, "torchvision": torchvision, "tf.data": tf_data}[name]
    images = stream(pictures, plan)
    for _ in range(WARM_UP):
        next(images)
    began = time.process_time()
    count = 0
    for _, image in zip(range(batches), images, strict=False):
        assert image.shape == (BATCH, SIZE, SIZE, 3)
        count += len(image)
    return count / (time.process_time() - began)


def _plan(pictures: Path) -> Path:
    return pictures / "plan.npz"


def write_plan(pictures: Path, batches: int) -> None:
    """Draws the order, boxes and flips by our recipe, for all contenders alike."""
    examples, keys = _ours(pictures), _key
    from churn_jax.data import streaming
    from churn_jax.data.preprocessing import random_box

    count = (WARM_UP + batches) * BATCH
    order = np.random.default_rng(0).permutation(len(examples))[:count]
    rows: list[tuple[str, tuple[int, ...], bool]] = []
    for index in order:
        picture = examples.encoded(int(index)).picture
        rng = streaming.generator(keys(0, 0), int(index))
        box = random_box(*picture.size, rng)
        synset = picture.name.split("_")[0]
        rows.append((f"folder/train/{synset}/{picture.name}", box, bool(rng.random() < 0.5)))
    paths, boxes, flips = zip(*rows, strict=True)
    np.savez(_plan(pictures), order=order, path=paths, box=np.array(boxes), flip=np.array(flips))


def _ours(pictures: Path):
    from churn_jax import data
    from churn_jax.config import DataConfig

    return data.load(DataConfig(name="imagenet", dir=str(pictures), crop="resized")).train


def _key(run: int, epoch: int) -> np.ndarray:
    return np.array([run, epoch], np.uint32)


def ours(pictures: Path, plan: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """The pipeline that training uses, in this one process."""
    from churn_jax.config import DataConfig
    from churn_jax.data.streaming import stream

    examples = _ours(pictures)
    rest = np.setdiff1d(np.arange(len(examples)), plan["order"])
    order = np.concatenate([plan["order"], rest])
    batches = stream(
        examples,
        lambda run, epoch: order,
        _key,
        DataConfig(name="imagenet", crop="resized", image_size=SIZE),
        runs=[0],
        batch_size=BATCH,
        first_step=0,
        num_steps=len(plan["order"]) // BATCH,
    )
    for batch in batches:
        yield batch["image"][0]


def torchvision(pictures: Path, plan: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """torchvision's transforms on pillow images, in a torch DataLoader, as its references do."""
    import torch
    from PIL import Image
    from torchvision.transforms.v2 import functional

    torch.set_num_threads(1)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(plan["path"])

        def __getitem__(self, place: int):
            left, top, right, bottom = map(int, plan["box"][place])
            with Image.open(pictures / str(plan["path"][place])) as file:
                image = file.convert("RGB")
            image = functional.resized_crop(
                image, top, left, bottom - top, right - left, [SIZE, SIZE]
            )
            if plan["flip"][place]:
                image = functional.horizontal_flip(image)
            return functional.pil_to_tensor(image)

    loader = torch.utils.data.DataLoader(Pictures(), batch_size=BATCH)
    for batch in loader:
        yield batch.permute(0, 2, 3, 1).numpy()


def tf_data(pictures: Path, plan: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """tf.data with decoding of the box alone, as TensorFlow's own ImageNet recipe has it."""
    import tensorflow as tf

    def prepare(path, box, flip):
        left, top, right, bottom = tf.unstack(box)
        window = tf.stack([top, left, bottom - top, right - left])
        image = tf.image.decode_and_crop_jpeg(tf.io.read_file(path), window, channels=3)
        image = tf.image.resize(image, [SIZE, SIZE], method="bilinear")
        image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
        return tf.cast(tf.round(image), tf.uint8)

    paths = [f"{pictures}/{path}" for path in plan["path"]]
    rows = (paths, plan["box"].astype(np.int32), plan["flip"])
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    yield from dataset.batch(BATCH).prefetch(2).as_numpy_iterator()


if __name__ == "__main__":
    main()
