"""Prediction with a progress bar."""

from typing import Any

import numpy as np
from tqdm import tqdm

# A multiple of the classifier's batch size, so that chunks give the batches of a single call.
_CHUNK = 1024


def predict_tumour(model: Any, X: np.ndarray, label: str, *, progress: bool) -> np.ndarray:
    """Return the probability of the model's second class for each patch, chunk by chunk."""
    probabilities = np.empty(len(X))
    with tqdm(total=len(X), desc=label, unit="patch", disable=not progress) as bar:
        for start in range(0, len(X), _CHUNK):
            chunk = X[start : start + _CHUNK]
            probabilities[start : start + len(chunk)] = model.predict_proba(chunk)[:, 1]
            bar.update(len(chunk))
    return probabilities
