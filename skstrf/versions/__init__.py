"""Recognition of versions of a piece: distances, retrieval and its measures."""

from skstrf.versions.alignment import cross_recurrence, qmax
from skstrf.versions.retriever import VersionRetriever
from skstrf.versions.scores import retrieval_scores

__all__ = ["VersionRetriever", "cross_recurrence", "qmax", "retrieval_scores"]
