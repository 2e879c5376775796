"""
Explain a prediction with Grad-CAM
==================================

Which part of a patch speaks for tumour? Grad-CAM weighs the feature maps of a convolution by the
gradient of the prediction. Here a network looks at real patches.
"""

# %%
# The patches
# -----------
# The repository holds 36 labelled patches of eight slides in Kaggle's layout. The label says
# whether there is tumour in the center of 32 x 32 pixels, which the dashed square shows.

import numpy as np

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.plotting import GradCamDisplay, PatchGalleryDisplay, grad_cam

data = load_kaggle("../../tests/data")
chosen = np.r_[np.flatnonzero(data.target == 1)[:3], np.flatnonzero(data.target == 0)[:2]]
patches, labels = data.paths[chosen], data.target[chosen]
# Picture: five real patches with their labels and a dashed square around the center.
PatchGalleryDisplay.from_predictions(patches, labels, n_patches=5, views=("patch",))

# %%
# Patch, probability and map
# --------------------------
# The first row shows the patches with their labels and probabilities, the second one where the
# evidence for tumour lies. Each map has its own scale, so compare places, not patches. The
# network starts from the weights of the model that comes with the package and sees these patches
# once more.

model = make_pcam_pipeline(model__weights="pcam", epochs=1, learning_rate=1e-4, random_state=0)
model.fit(data.paths, data.target)
# Picture: five patches, and below them the same patches with the evidence for tumour in yellow.
GradCamDisplay.from_estimator(model, patches, labels)

# %%
# Evidence against tumour
# -----------------------
# ``positive=False`` shows what speaks against it.

# Picture: five patches, and below them the same patches with the evidence against tumour in yellow.
GradCamDisplay.from_estimator(model, patches, labels, positive=False)

# %%
# The maps as arrays
# ------------------
# :func:`~pcam_sklearn.plotting.grad_cam` returns the maps alone, for work of your own. Here is
# the share of the evidence that lies in the center, for which the label stands.

heat = grad_cam(model, patches)
side = heat.shape[1]
center = slice(side // 3, side - side // 3)
for label, one in zip(labels, heat, strict=True):
    print(f"label {label}: {one[center, center].sum() / max(one.sum(), 1e-9):.0%} in the center")

# %%
# The network was trained on these patches. So this shows how the tool is used, and not how well
# the network does on tissue that it has not seen.
