"""Errors of the neural networks."""

__all__ = ["TrainingDivergedError"]


class TrainingDivergedError(ValueError):
    """Raised when the loss of a training epoch is no longer finite."""
