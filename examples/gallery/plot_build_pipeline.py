"""
Build a pipeline
================

From patches to probabilities in a scikit-learn pipeline, tested on slides that took no part in the
training.
"""

# %%
# Patches and their slides
# ------------------------
# The patches are drawn, not photographed. Each slide has a stain of its own, as real slides have.
# The dashed square is the center, for which the label stands.

import matplotlib.pyplot as plt
from sklearn.metrics import roc_auc_score

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import PatchGalleryDisplay, RocBandDisplay, TrainingHistoryDisplay

data = make_patches(n_samples=600, n_slides=16, random_state=0)
# Picture: four drawn patches with their labels, each whole, cut to its center, and as a histogram
#  of its colours.
PatchGalleryDisplay.from_predictions(data.images, data.target, n_patches=4, random_state=0)

# %%
# Hold out whole slides
# ---------------------
# Patches of one slide look alike. If some of them are trained on and others tested on, the result
# is too good. So each slide is on one side only.

train, test = slide_train_test_split(data.target, data.groups, random_state=0)
print("slides to train on:", *sorted(set(data.groups[train])))
print("slides to test on: ", *sorted(set(data.groups[test])))

# %%
# The pipeline
# ------------
# It has three steps. The reader turns paths into patches and leaves patches as they are. The
# normalizer cuts the center. The classifier holds a Keras network. Without arguments the pipeline
# is the best recipe found; this small network makes the example quick.

pipeline = make_pcam_pipeline(
    crop_size=32,
    network="residual",
    filters=(16, 32),
    augment=("d4", "stain"),
    learning_rate=0.005,
    epochs=12,
    validation_fraction=0.15,
    random_state=0,
)
pipeline

# %%
# Train, and look at the training
# -------------------------------
# ``cnnclassifier__groups`` has the classifier hold out whole slides too, to follow the training.

pipeline.fit(data.images[train], data.target[train], cnnclassifier__groups=data.groups[train])
# Picture: accuracy, area under the ROC curve and loss by epoch, for training and held-out patches.
TrainingHistoryDisplay.from_estimator(pipeline)

# %%
# Test
# ----
# The band shows what other slides might have given: it resamples slides, not patches. With four
# slides it is wide, and rightly so.

probabilities = pipeline.predict_proba(data.images[test])[:, 1]
print(f"AUC on slides never seen: {roc_auc_score(data.target[test], probabilities):.3f}")
# Picture: the ROC curve on the test slides, in a wide band from resampled slides.
RocBandDisplay.from_predictions(data.target[test], probabilities, data.groups[test], random_state=0)
plt.show()
