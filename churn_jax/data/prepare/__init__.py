"""From the files that people have to data sets that training reads: without TensorFlow.

`prepare(name, source, out)` takes the original archives of a data set of the paper, packed or
unpacked, or a copy in TFDS's tfrecord form, and writes TFDS's array_record form.
"""

from churn_jax.data.prepare.preparing import ORIGINALS, prepare, tfds_name

__all__ = ["ORIGINALS", "prepare", "tfds_name"]
