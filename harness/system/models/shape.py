"""The model's shape, the same for both backends."""

from harness.system.models.text import VOCABULARY_SIZE

CONTEXT = 4
EMBEDDING = 16
HIDDEN = 48

# What the hidden layer counts for in the logits. It makes the words in context a slow lesson and their mere
# frequencies a quick one: the loss of plain gradient descent then falls steadily for thousands of steps, while a
# thousandfold rate blows it up. (Without the scale, or with Adam, such a rate learned the text all the faster.)
HIDDEN_SCALE = 0.1

SHAPES: dict[str, tuple[int, ...]] = {
    "embedding": (VOCABULARY_SIZE, EMBEDDING),
    "hidden_weights": (CONTEXT * EMBEDDING, HIDDEN),
    "hidden_bias": (HIDDEN,),
    "output_weights": (HIDDEN, VOCABULARY_SIZE),
    "output_bias": (VOCABULARY_SIZE,),
}
