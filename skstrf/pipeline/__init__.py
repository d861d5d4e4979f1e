"""Pipelines that compute nothing twice."""

from skstrf.pipeline.cached import CachedPipeline
from skstrf.pipeline.keys import learns_nothing

__all__ = ["CachedPipeline", "learns_nothing"]
