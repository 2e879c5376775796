"""
Save, load, and look inside
===========================

A fitted pipeline goes into one file of plain data. Loading it runs no code of the file.
"""

# %%
# A fitted pipeline
# -----------------

import tempfile
from pathlib import Path

import joblib
import numpy as np

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.persistence import ModelFileError, load_model, read_metadata, save_model
from pcam_sklearn.plotting import TrainingHistoryDisplay

data = make_patches(n_samples=240, n_slides=8, random_state=0)
pipeline = make_pcam_pipeline(network="notebook", augment="d4", epochs=5, random_state=0)
pipeline.fit(data.images, data.target)

# %%
# Save
# ----
# ``metadata`` holds what only you know. A sound file appears at once or not at all: a full disk
# or a killed process leaves the old file as it was.

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "model.pcam"
save_model(pipeline, path, metadata={"author": "A. Smith", "license": "bsd-3-clause"})
joblib.dump(pipeline, path.with_suffix(".joblib"))
save_model(pipeline, path.with_name("half.pcam"), dtype="float16")
for file in sorted(path.parent.iterdir()):
    print(f"{file.name:14} {file.stat().st_size / 1e6:.1f} MB")

# %%
# Look inside without loading
# ---------------------------

metadata = read_metadata(path)
for name, value in metadata.items():
    print(f"{name:20} {str(value)[:70]}")

# %%
# Load
# ----
# The probabilities are the same, bit by bit, and the history of the training is still there.

loaded = load_model(path)
same = np.array_equal(loaded.predict_proba(data.images), pipeline.predict_proba(data.images))
print("same probabilities:", same)
# Picture: accuracy, area under the ROC curve and loss by epoch, as the loaded pipeline still holds
#  them.
TrainingHistoryDisplay.from_estimator(loaded)

# %%
# A file that was changed
# -----------------------
# One changed byte is an error. A joblib file has no such check, and runs whatever it holds.

content = bytearray(path.read_bytes())
content[len(content) // 2] ^= 1
path.write_bytes(content)
try:
    load_model(path)
except ModelFileError as error:
    print(str(error).replace(folder.name, "."))
folder.cleanup()
