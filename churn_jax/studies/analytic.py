"""Figures 4 and 5, which follow from formulas: what regularised and tempered losses look like.

With K = 2 classes and p the probability of the right one, p = 1 / (1 + e^−z) for the logit z:

    log-loss     −log p
    entropy      (1−α)·(−log p) + α·H(p)                                       (eq. 6)
    SKL          (1−α)·(−log p) − α·SKL(p, Unif)                               (eq. 7)
    temperature  the logistic loss of z/τ: log(1 + e^(−z/τ))
"""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure as Drawing

ALPHAS = (0.0, 0.1, 0.3, 0.5)
TEMPERATURES = (0.5, 1.0, 2.0, 4.0)


def draw(name: str, colours: Sequence[str], dashes: Sequence[str]) -> Drawing:
    """The figure of that name: 'figure4' or 'figure5'."""
    return {"figure4": _figure4, "figure5": _figure5}[name](colours, dashes)


def entropy_loss(z: np.ndarray, alpha: float) -> np.ndarray:
    """Eq. 6 for two classes, as a function of the logit of the right one."""
    return (1 - alpha) * _log_loss(z) + alpha * _entropy(z)


def skl_loss(z: np.ndarray, alpha: float) -> np.ndarray:
    """Eq. 7 for two classes: SKL(p, Unif) = (p − ½)·log(p / (1−p)) = (p − ½)·z."""
    return (1 - alpha) * _log_loss(z) - alpha * (_sigmoid(z) - 0.5) * z


def tempered_loss(z: np.ndarray, temperature: float) -> np.ndarray:
    """The logistic loss of z/τ."""
    return _log_loss(z / temperature)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-_log_loss(z))


def _log_loss(z: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, -z)


def _entropy(z: np.ndarray) -> np.ndarray:
    """H(p) = p·(−log p) + (1−p)·(−log(1−p)), with 1 − p that of −z."""
    return _sigmoid(z) * _log_loss(z) + _sigmoid(-z) * _log_loss(-z)


def _figure4(colours: Sequence[str], dashes: Sequence[str]) -> Drawing:
    drawing = Drawing(figsize=(8.0, 6.0), layout="constrained")
    losses: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
        "entropy": entropy_loss,
        "SKL to uniform": skl_loss,
    }
    probabilities = np.linspace(0.005, 0.995, 400)
    logits = np.linspace(-6, 6, 400)
    panels = drawing.subplots(2, 2)
    for row, (title, loss) in zip(panels, losses.items(), strict=True):
        for axes, x, z, label in (
            (row[0], probabilities, np.log(probabilities / (1 - probabilities)), "probability p"),
            (row[1], logits, logits, "logit z"),
        ):
            for alpha, colour, dash in zip(ALPHAS, colours, dashes, strict=False):
                axes.plot(x, loss(z, alpha), color=colour, linestyle=dash, label=f"α = {alpha:g}")
            axes.set(xlabel=f"{label} of the right class", ylabel="loss (nats)", title=title)
    panels[0][0].legend(fontsize=8)
    return drawing


def _figure5(colours: Sequence[str], dashes: Sequence[str]) -> Drawing:
    drawing = Drawing(figsize=(4.6, 3.4), layout="constrained")
    axes = drawing.subplots()
    logits = np.linspace(-6, 6, 400)
    for tau, colour, dash in zip(TEMPERATURES, colours, dashes, strict=False):
        loss = tempered_loss(logits, tau)
        axes.plot(logits, loss, color=colour, linestyle=dash, label=f"τ = {tau:g}")
    axes.set(xlabel="logit z of the right class", ylabel="logistic loss (nats)")
    axes.legend(fontsize=8)
    return drawing
