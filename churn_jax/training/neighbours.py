"""Labels of the neighbourhood: what the examples that a first model finds alike are.

Locally adaptive label smoothing (Bahri and Jiang, ICML 2021) smooths a label not over all classes
but over those of the example's nearest neighbours in the logits of a model trained before.
"""

import numpy as np

from churn_jax.losses import LOG_PROBABILITY_FLOOR

MOST = 200_000  # examples among which neighbours are looked for


def label_shares(log_probs: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """The share of each class among the labels of each example's nearest neighbours.

    Args:
      log_probs: of the first models, [run, example, class]. Their logits are compared centred,
        because predictions tell them up to a constant, and by Euclidean distance.
      labels: int [example].
      neighbours: how many of the others count, below the number of examples.

    Returns:
      Logarithms of the shares, float32 like `log_probs`, at least `LOG_PROBABILITY_FLOOR`.
    """
    from sklearn.neighbors import NearestNeighbors  # every other training starts without its second

    counted = np.zeros(log_probs.shape, np.float32)
    every = np.arange(len(labels))
    for of_run, counts in zip(log_probs, counted, strict=True):
        logits = np.float64(of_run)
        logits -= logits.mean(-1, keepdims=True)
        near = NearestNeighbors(n_neighbors=neighbours).fit(logits)
        for column in near.kneighbors(return_distance=False).T:  # none is its own neighbour
            counts[every, labels[column]] += 1
    with np.errstate(divide="ignore"):
        shares = np.log(counted / np.float32(neighbours))
    return np.maximum(shares, np.float32(LOG_PROBABILITY_FLOOR))
