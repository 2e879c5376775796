"""Evaluations and model cards.

An evaluation holds predictions and the metrics measured on them. A model card adds what a reader
must know before use. This is research software, not a medical device, and every card says so.
"""

from pcam_sklearn.report._card import model_card
from pcam_sklearn.report._document import ModelCard
from pcam_sklearn.report._evaluation import Evaluation, evaluate, evaluate_predictions
from pcam_sklearn.report._hash import hash_patches
from pcam_sklearn.report._stains import stain_of_slides

__all__ = [
    "Evaluation",
    "ModelCard",
    "evaluate",
    "evaluate_predictions",
    "hash_patches",
    "model_card",
    "stain_of_slides",
]
