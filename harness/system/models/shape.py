"""The model's shape, the same for both backends."""

from harness.system.models.text import VOCABULARY_SIZE

CONTEXT = 4
EMBEDDING = 16
HIDDEN = 48

SHAPES: dict[str, tuple[int, ...]] = {
    "embedding": (VOCABULARY_SIZE, EMBEDDING),
    "hidden_weights": (CONTEXT * EMBEDDING, HIDDEN),
    "hidden_bias": (HIDDEN,),
    "output_weights": (HIDDEN, VOCABULARY_SIZE),
    "output_bias": (VOCABULARY_SIZE,),
}

# Adam's constants, as its authors give them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
