"""Prediction with a progress bar."""

from typing import Any

import numpy as np
from tqdm import tqdm

from pcam_sklearn._reading._patch_files import UnreadablePatchesError, explain_failures
from pcam_sklearn.preprocessing import PatchReader

# A multiple of the classifier's batch size, so that chunks give the batches of a single call.
_CHUNK = 1024


def predict_tumour(model: Any, X: np.ndarray, label: str, *, progress: bool) -> np.ndarray:
    """Return the probability of the model's second class for each patch, chunk by chunk.

    Files that cannot be read, or differ in size, are one error about all of them.
    """
    probabilities = np.empty(len(X))
    shape = _shape_of_first(X)
    with tqdm(total=len(X), desc=label, unit="patch", disable=not progress) as bar:
        for start in range(0, len(X), _CHUNK):
            chunk = X[start : start + _CHUNK]
            try:
                # The model compares the sizes within a chunk.
                if _shape_of_first(chunk) != shape:
                    raise UnreadablePatchesError
                probabilities[start : start + len(chunk)] = model.predict_proba(chunk)[:, 1]
            except UnreadablePatchesError as error:
                raise explain_failures(X, shape) from error
            bar.update(len(chunk))
    return probabilities


def _shape_of_first(X: np.ndarray) -> tuple[int, int, int]:
    """Return the shape of the first patch that can be read."""
    height, width, channels = PatchReader(in_memory=False).transform(X).shape[1:]
    return height, width, channels
