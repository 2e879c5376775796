"""
Serve without Keras
===================

A fitted pipeline becomes one ONNX graph, from the bytes of patches to probabilities. ONNX Runtime
computes it, in 32 bits or in 8, without Keras and TensorFlow.
"""

# %%
# A fitted pipeline
# -----------------

import tempfile
from pathlib import Path

import numpy as np

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.export import export_onnx, make_onnx_pipeline
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import RocBandDisplay

data = make_patches(n_samples=400, n_slides=16, random_state=0)
train, test = slide_train_test_split(data.target, data.groups, random_state=0)
pipeline = make_pcam_pipeline(network="residual", filters=(8, 16, 32), epochs=4, random_state=0)
pipeline.fit(data.images[train], data.target[train])

# %%
# Export
# ------
# The export compares the graph with the pipeline, and prints the largest difference. For 8 bits it
# needs patches like those to come, and tells what changes on them.

folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "model.onnx")
small = path.with_name("small.onnx")
calibration = (data.images[train], data.target[train])
exact = export_onnx(pipeline, path, verbose=0)
rounded = export_onnx(pipeline, small, quantize="int8", calibration=calibration, verbose=0)
print(f"32 bits: {exact.size:,} bytes, {exact.difference:.0e} from the pipeline")
print(f" 8 bits: {rounded.size:,} bytes")
print(rounded.int8)

# %%
# Serve
# -----
# What serves the file is a pipeline of scikit-learn, which takes arrays, memory maps and paths.

served = make_onnx_pipeline(path, n_threads=1)
print(served)
images = data.images[test]
difference = np.abs(served.predict_proba(images) - pipeline.predict_proba(images)).max()
print(f"on patches never seen: {difference:.0e} from the pipeline")

# %%
# Eight bits, on slides never seen
# --------------------------------

in_8_bits = make_onnx_pipeline(small, n_threads=1)
# Picture: the ROC curve of the graph in 8 bits on the test slides, with its band.
display = RocBandDisplay.from_estimator(
    in_8_bits, images, data.target[test], groups=data.groups[test], random_state=0
)
folder.cleanup()
