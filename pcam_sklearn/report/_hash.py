"""The hash that identifies the patches of an evaluation."""

import hashlib
from typing import Any

import numpy as np

from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn.preprocessing import PatchReader, check_patches

# So many patches of 96 x 96 pixels take 28 MB of memory.
_CHUNK = 1024


def hash_patches(X: Any) -> str:
    """Compute the SHA-256 of patches, which is the same for files and for their pixels.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
        Patches, or paths of their files.

    Returns
    -------
    str
        64 hexadecimal digits. They cover the shape, the dtype and the pixels, in the order of X.

    Raises
    ------
    ValueError
        If X does not hold patches, or a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.report import hash_patches
    >>> hash_patches(np.zeros((2, 96, 96, 3), dtype=np.uint8))[:8]
    'eaac4468'
    """
    if isinstance(X, list | tuple) and np.ndim(X) == 4:
        X = np.asarray(X)
    patches = check_patches(PatchReader(in_memory=False).transform(X), channels=None)
    # Without the shape, a set of small patches could share its bytes with a set of large.
    shape = tuple(map(int, patches.shape))
    digest = hashlib.sha256(f"{shape} {patches.dtype.name} ".encode())
    # Patches are read chunk by chunk: an evaluation may hold more of them than memory does.
    for chunk in in_batches(patches, _CHUNK, patches.dtype):
        digest.update(np.ascontiguousarray(chunk).data)
    return digest.hexdigest()
