"""Brings a data set of the paper into the form that training reads (array_record), and checks it.

From its original files, packed or unpacked, or from a copy that TFDS made:

    python launch/prepare_data.py cifar10 --source=~/Downloads --out=~/data

    data set     in the folder --source
    cifar10      cifar-10-python.tar.gz or cifar-10-binary.tar.gz
    cifar100     cifar-100-python.tar.gz or cifar-100-binary.tar.gz
    svhn         train_32x32.mat and test_32x32.mat
    imagenet     ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or folders train and val
    inaturalist  train_val2018.tar.gz, train2018.json, val2018.json and categories.json (.tar.gz)

Without --source, TFDS downloads and builds it, which needs TensorFlow and a network. An
interrupted call, repeated, keeps what it had finished.

Where jpegtran is installed (apt install libjpeg-turbo-progs), the pictures of ImageNet and
iNaturalist are rewritten without loss: the same pixels, of which training can then decode just the
part that it crops, in two thirds of the time. A data set that was prepared without it can be
prepared anew: name it as --source, and another folder as --out. The digits need no preparation;
Fashion-MNIST's IDX files are read as they are, and so are folders of pictures
(configs/image_folder.py).
"""

import argparse
import importlib.util
import os
import subprocess
import sys

from churn_jax.system import startup

if __name__ == "__main__":
    startup.start()

from churn_jax.data.prepare import ORIGINALS, prepare, tfds_name
from churn_jax.errors import UserError
from churn_jax.system.commands import run_command


def main() -> int:
    """Prepares one data set; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="DATA_SET", help=", ".join(ORIGINALS))
    parser.add_argument("--source", help="folder with the original files, or TFDS's copy")
    parser.add_argument("--out", required=True, help="what --config.data.dir will name")
    parser.add_argument("--partial", action="store_true", help="accept a part of the data set")
    options = parser.parse_args()
    if options.source is None:
        return _build(options.name, options.out)
    folder = prepare(
        options.name,
        os.path.expanduser(options.source),
        os.path.expanduser(options.out),
        partial=options.partial,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"{folder} is ready: train with --config.data.dir={options.out}")
    return 0


def _build(name: str, out: str) -> int:
    """`tfds build`, which downloads."""
    if name not in ORIGINALS:
        raise UserError(f"no data set {name!r} to prepare (one of: {', '.join(ORIGINALS)})")
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "to download, TFDS needs TensorFlow: pip install tensorflow-cpu; or pass "
            "--source=FOLDER with the original files, which needs none"
        )
    build = [sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build"]
    options = ["--file_format=array_record", f"--data_dir={out}"]
    return subprocess.run([*build, tfds_name(name), *options]).returncode


if __name__ == "__main__":
    run_command(main)
