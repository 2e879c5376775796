"""
Transfer and pretrained weights
===============================

The default network starts from weights that were trained on photographs. It may also go on from
weights that were trained on patches, or start from nothing.
"""

# %%
# Three starts
# ------------
# Both sets of weights come with the package. Nothing is downloaded.

import matplotlib.pyplot as plt
from sklearn.metrics import roc_auc_score

from pcam_sklearn import load_pretrained, make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import RocBandDisplay, TrainingHistoryDisplay

data = make_patches(n_samples=240, n_slides=12, random_state=0)
train, test = slide_train_test_split(data.target, data.groups, random_state=0)

fitted = {}
for weights in (None, "imagenet", "pcam"):
    pipeline = make_pcam_pipeline(
        crop_size=48,
        model__weights=weights,
        test_time_augmentation=None,
        epochs=2,
        random_state=0,
    )
    fitted[weights] = pipeline.fit(data.images[train], data.target[train])
    score = pipeline.predict_proba(data.images[test])[:, 1]
    print(f"weights={weights!s:8}  AUC {roc_auc_score(data.target[test], score):.3f}")

# %%
# After two epochs
# ----------------
# A network that starts from nothing has learned little so far.

# Picture: three ROC curves with their bands, after a start from nothing, from photographs and from
#  patches.
figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
for ax, (weights, pipeline) in zip(axes, fitted.items(), strict=True):
    RocBandDisplay.from_estimator(
        pipeline,
        data.images[test],
        data.target[test],
        data.groups[test],
        n_rounds=200,
        random_state=0,
        ax=ax,
    )
    ax.set_title(f"weights={weights!r}")

# %%
# The training of the network that began with photographs:

# Picture: accuracy, area under the ROC curve and loss by epoch, for the start from photographs.
TrainingHistoryDisplay.from_estimator(fitted["imagenet"])

# %%
# Without any training
# --------------------
# :func:`~pcam_sklearn.load_pretrained` returns a fitted pipeline. It was trained on real tissue,
# and drawn patches are no tissue: measure a model on your own patches before you rely on it.

score = load_pretrained().predict_proba(data.images[test])[:, 1]
print(
    f"the model of the package on drawn patches: AUC {roc_auc_score(data.target[test], score):.3f}"
)

# %%
# Other networks
# --------------
# ``network="transfer"`` takes any network of ``keras.applications``, named by
# ``model__backbone``. Keras downloads its weights once; ``model__weights=None`` downloads
# nothing. ``model__trainable= False`` trains the head alone.
