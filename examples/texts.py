"""Short texts on three subjects, which this file makes: `--config=FILE:METHOD`.

A text is 4 to 12 words, of which some are about its subject, some about another and most about
nothing. Words become token ids, 1 for the first of the vocabulary; 0 pads all texts to one length.
"""

import numpy as np

import churn_jax
from churn_jax import data, recipes

SUBJECTS = {
    "cooking": "bake boil butter flour fry garlic grill onion oven pepper recipe salt simmer",
    "sailing": "anchor bow deck harbour hull jib keel mast port rudder sail starboard tack wind",
    "music": "bass beat chord chorus drum flute key melody note piano rhythm song tempo violin",
}
FILLER = "a after all and before big but day every good is it my not of old on one so the then"
VOCABULARY = sorted({*FILLER.split(), *" ".join(SUBJECTS.values()).split()})
LENGTH = 12


def text(random, subject):
    """The words of one text."""
    others = " ".join(words for name, words in SUBJECTS.items() if name != subject).split()
    kinds = random.choice(3, random.integers(4, LENGTH + 1), p=(0.35, 0.1, 0.55))
    lists = (SUBJECTS[subject].split(), others, FILLER.split())
    return [str(random.choice(lists[kind])) for kind in kinds]


def texts(_):
    """1,000 texts to train on and 1,000 to test on, always the same."""
    random = np.random.default_rng(0)
    number = {word: place for place, word in enumerate(VOCABULARY, 1)}
    tokens = np.zeros((2000, LENGTH), np.int32)
    labels = np.arange(2000, dtype=np.int32) % len(SUBJECTS)
    for row, label in zip(tokens, labels, strict=True):
        words = [number[word] for word in text(random, list(SUBJECTS)[label])]
        row[: len(words)] = words
    every = data.ArrayExamples(tokens, labels, np.array([f"{i:04d}" for i in range(2000)]))
    info = data.DatasetInfo(
        "texts", tuple(SUBJECTS), (LENGTH,), dtype="int32", vocabulary=1 + len(VOCABULARY)
    )
    return data.Dataset(info, every.take(np.arange(1000)), every.take(np.arange(1000, 2000)))


churn_jax.data.register("texts", texts)


def get_config(arg="baseline"):
    """`arg`: METHOD[,tiny]."""
    config = recipes.start("texts", pictures=False)
    config.model.name = "transformer"
    config.model.width, config.model.depth, config.model.dropout = 16, 1, 0.1
    config.optimizer.learning_rate, config.optimizer.clip_norm = 0.1, 1.0
    config.optimizer.schedule = "cosine"
    config.batch_size, config.epochs, config.runs = 64, 12.0, 6
    return recipes.finish(config, arg, {"codistill_skl": {"beta": 1.0}})
