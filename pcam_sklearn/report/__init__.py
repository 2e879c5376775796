"""Evaluations and model cards: what was measured, on what, and what a reader must know.

Research software, not a medical device; every card says so.
"""

from pcam_sklearn.report._card import model_card
from pcam_sklearn.report._document import ModelCard
from pcam_sklearn.report._evaluation import (
    Evaluation,
    evaluate,
    evaluate_predictions,
)
from pcam_sklearn.report._hash import hash_patches

__all__ = [
    "Evaluation",
    "ModelCard",
    "evaluate",
    "evaluate_predictions",
    "hash_patches",
    "model_card",
]
