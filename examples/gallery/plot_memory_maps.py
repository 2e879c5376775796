"""
Memory maps and paths
=====================

X may be an array, a memory map, or the paths of image files. The pipeline gives the same
probabilities for all three, and reads batch by batch what does not fit into memory.
"""

# %%
# The same patches, three times
# -----------------------------
# A ``.npy`` file can be mapped into memory: only the pages that are asked for are read.

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from pcam_sklearn import PatchReader, make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.plotting import PatchGalleryDisplay, TrainingHistoryDisplay

data = make_patches(n_samples=300, n_slides=10, random_state=0)
folder = tempfile.TemporaryDirectory()
root = Path(folder.name)

np.save(root / "patches.npy", data.images)
mapped = np.load(root / "patches.npy", mmap_mode="r")

for number, patch in enumerate(data.images):
    Image.fromarray(patch).save(root / f"{number:03}.png")
paths = np.array(sorted(str(path) for path in root.glob("*.png")))
print(type(mapped).__name__, mapped.shape, "and", len(paths), "paths")

# %%
# Fit on a map
# ------------

pipeline = make_pcam_pipeline(
    crop_size=32, network="residual", filters=(8, 16), augment="d4", epochs=6, random_state=0
)
pipeline.fit(mapped, data.target)
# Picture: accuracy, area under the ROC curve and loss by epoch, for the training on the map.
TrainingHistoryDisplay.from_estimator(pipeline)

# %%
# Predict on all three
# --------------------

from_array = pipeline.predict_proba(data.images)
print("map:  ", np.array_equal(pipeline.predict_proba(mapped), from_array))
print("paths:", np.array_equal(pipeline.predict_proba(paths), from_array))

# %%
# Left in their files
# -------------------
# Up to 256 MB of pixels are read at once. Beyond that, the reader returns an object that has the
# shape of an array and reads when it is indexed. Here it is asked for.

lazy = PatchReader(in_memory=False).fit_transform(paths)
print(type(lazy).__name__, lazy.shape, lazy.dtype)
print("the first one:", np.array_equal(np.asarray(lazy[:1]), data.images[:1]))

# %%
# Displays take paths too, and read those files only that they draw.

# Picture: the four patches with the surest predictions, each whole, cut to its center, and as a
#  histogram.
PatchGalleryDisplay.from_estimator(pipeline, paths, data.target, select="most certain", n_patches=4)
folder.cleanup()
