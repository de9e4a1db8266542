"""The errors of the models."""


class WeightsError(Exception):
    """A file of weights is missing, damaged or of another model's shape."""
