"""
Calibration and operating point
===============================

A probability of 0.8 should be right in four cases out of five, and a threshold is a choice. Both
are settled on slides that took no part in the training, and measured on others again.
"""

# %%
# Three sets of slides
# --------------------

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import ReliabilityDisplay, RocBandDisplay

data = make_patches(n_samples=720, n_slides=24, random_state=0)
X, y, slides = data.images, data.target, data.groups
rest, test = slide_train_test_split(y, slides, test_size=0.33, random_state=0)
train, settle = slide_train_test_split(y[rest], slides[rest], test_size=0.5, random_state=0)
train, settle = rest[train], rest[settle]

pipeline = make_pcam_pipeline(
    crop_size=32,
    network="residual",
    filters=(16, 32),
    augment="d4",
    learning_rate=0.005,
    label_smoothing=0,
    epochs=10,
    random_state=0,
)
pipeline.fit(X[train], y[train])

# %%
# Calibrate
# ---------
# The pipeline is frozen, so that scikit-learn fits two numbers only: the slope and the offset of
# the logits. Whether that helps on the third set of slides, the Brier score tells.

calibrated = CalibratedClassifierCV(FrozenEstimator(pipeline), method="sigmoid")
calibrated.fit(X[settle], y[settle])

# Picture: reliability curves of the network and of the calibrated pipeline, and the number of
#  patches by probability.
figure, axes = plt.subplots(
    2, 2, figsize=(10, 6), sharex=True, height_ratios=[3, 1], layout="constrained"
)
for column, (name, model) in enumerate({"network": pipeline, "calibrated": calibrated}.items()):
    ReliabilityDisplay.from_estimator(
        model, X[test], y[test], n_bins=8, strategy="quantile", name=name, axes=axes[:, column]
    )

# %%
# Choose a threshold, freeze it, measure it
# -----------------------------------------
# On the second set of slides, which threshold keeps a specificity of 0.9?

point = choose_operating_point(
    y[settle], calibrated.predict_proba(X[settle])[:, 1], specificity=0.9
)
print(point)

# %%
# On the third set it gives what it gives. The difference between the two is the price of new
# slides.

score = calibrated.predict_proba(X[test])[:, 1]
result = point.evaluate(y[test], score, slides[test], random_state=0)
print("sensitivity", result.sensitivity)
print("specificity", result.specificity)
# Picture: the ROC curve on the third set of slides with its band, and the frozen threshold as a
#  point with its intervals.
RocBandDisplay.from_predictions(y[test], score, slides[test], operating_point=point, random_state=0)

# %%
# Predictive values need a prevalence
# -----------------------------------
# The patches hold 40 % tumour, which is no prevalence. State yours.

for prevalence in (0.01, 0.1, 0.4):
    ppv, npv = result.predictive_values(prevalence)
    print(f"at a prevalence of {prevalence:4}: PPV {ppv:.2f}, NPV {npv:.3f}")
