"""
Look at doubtful patches
========================

A patch has no up and no down. If the eight turned and mirrored views of a patch get different
probabilities, the network is unsure. ``predict_spread`` returns how far they disagree, and so tells
which patches a person should look at first.
"""

# %%
# Few labels, many patches
# ------------------------
# 300 patches are labelled. A pool of others waits for somebody who has time for 60 of them. The
# network is small and trained without turned views, so that it has doubts.

import numpy as np
from sklearn.metrics import roc_auc_score

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import PatchGalleryDisplay

data = make_patches(n_samples=1000, n_slides=24, random_state=0)
X, y = data.images, data.target
rest, test = slide_train_test_split(y, data.groups, test_size=0.35, random_state=0)
labelled, pool = rest[:300], rest[300:]


def fit(rows):
    """Return a pipeline that is trained on these rows."""
    pipeline = make_pcam_pipeline(
        network="notebook", augment=None, batch_size=16, epochs=15, random_state=0
    )
    return pipeline.fit(X[rows], y[rows])


def auc(pipeline):
    """Return the area under the ROC curve on the test slides."""
    return roc_auc_score(y[test], pipeline.predict_proba(X[test])[:, 1])


pipeline = fit(labelled)

# %%
# The spread finds mistakes
# -------------------------
# The classifier has the method, and the steps before it prepare the patches. Sorted by spread,
# the last fifth of the test patches holds the largest share of mistakes. The first one holds some
# too: there the network is wrong in all views, and sure.

spread = pipeline[-1].predict_spread(pipeline[:-1].transform(X[test]))
wrong = pipeline.predict(X[test]) != y[test]
for number, fifth in enumerate(np.array_split(np.argsort(spread), 5), start=1):
    print(
        f"fifth {number}: spread up to {spread[fifth].max():.3f}, {wrong[fifth].mean():.0%} wrong"
    )

# %%
# Look at the most doubtful ones
# ------------------------------

doubt = pipeline[-1].predict_spread(pipeline[:-1].transform(X[pool]))
order = pool[np.argsort(-doubt)]
# Picture: the six most doubtful patches, whole and cut to the center, with labels and
#  probabilities.
PatchGalleryDisplay.from_estimator(
    pipeline, X[order[:6]], y[order[:6]], n_patches=6, views=("patch", "center"), random_state=0
)

# %%
# Label these first
# -----------------
# The next training has 60 more labels: those of the most doubtful patches, or of patches drawn at
# random.

drawn = np.random.default_rng(0).choice(pool, 60, replace=False)
print(f"300 labels:                 AUC {auc(pipeline):.3f}")
print(f"with 60 drawn at random:    AUC {auc(fit(np.r_[labelled, drawn])):.3f}")
print(f"with the 60 most doubtful:  AUC {auc(fit(np.r_[labelled, order[:60]])):.3f}")

# %%
# One run with one seed decides nothing: repeat it with other seeds before you believe either
# order.
