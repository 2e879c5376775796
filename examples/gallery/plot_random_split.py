"""
Random splits against splits by slide
=====================================

Patches of one slide share stain, scanner and patient. A random split puts patches of each slide on
both sides, and the network is tested on what it has half seen.
"""

# %%
# Twelve slides with strong stains of their own
# ---------------------------------------------

import matplotlib.pyplot as plt
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.metrics import auc_cluster_bootstrap, auc_delong, slide_table
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.plotting import RocBandDisplay

data = make_patches(n_samples=420, n_slides=12, stain_variation=2.0, random_state=1)
pipeline = make_pcam_pipeline(
    crop_size=32,
    network="residual",
    filters=(16, 32),
    augment="d4",
    learning_rate=0.005,
    epochs=8,
    random_state=0,
)

# %%
# The same pipeline, the same patches, two splitters
# --------------------------------------------------

random_folds = StratifiedKFold(3, shuffle=True, random_state=0)
slide_folds = SlideKFold(3, random_state=0)
splits = {
    "random": list(random_folds.split(data.images, data.target)),
    "by slide": list(slide_folds.split(data.images, data.target, data.groups)),
}
probabilities = {
    name: cross_val_predict(pipeline, data.images, data.target, cv=folds, method="predict_proba")[
        :, 1
    ]
    for name, folds in splits.items()
}

# %%
# Two figures for one classifier
# ------------------------------
# The figure by slide is the honest one: it tells what to expect on the next slide. How large the
# difference is depends on the data; on PatchCamelyon it is .03 to .065.

# Picture: two ROC curves with their bands, of the random split and of the split by slide.
figure, axes = plt.subplots(1, 2, figsize=(10, 5.2), layout="constrained")
for ax, (name, score) in zip(axes, probabilities.items(), strict=True):
    RocBandDisplay.from_predictions(data.target, score, data.groups, random_state=0, ax=ax)
    ax.set_title(f"split {name}")

# %%
# Intervals
# ---------
# The interval must respect slides too. DeLong's, which takes each patch for independent of all
# others, is too narrow.

by_slide = probabilities["by slide"]
print("patches as independent:", auc_delong(data.target, by_slide))
print(
    "slides resampled:      ",
    auc_cluster_bootstrap(data.target, by_slide, data.groups, random_state=0),
)

# %%
# One row per slide
# -----------------
# A mean hides slides that are missed as a whole.

print(slide_table(data.target, by_slide, data.groups, threshold=0.5).round(2).to_string())
