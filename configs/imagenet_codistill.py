"""Co-distilled pairs on ImageNet: `configs/imagenet.py:codistill_skl`, the paper's largest job.

python -m churn_jax.main --config=configs/imagenet_codistill.py --workdir=gs://BUCKET/codistill
"""

from pathlib import Path
from runpy import run_path

from churn_jax import recipes


def get_config(arg: str = ""):
    """`arg`: nothing, or tiny."""
    imagenet = run_path(str(Path(__file__).with_name("imagenet.py")))
    return imagenet["get_config"](recipes.preset("codistill_skl", arg))
