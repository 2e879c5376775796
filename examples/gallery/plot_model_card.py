"""
Read a model card
=================

A model card says what a model is for, what it was trained on, how good it is and where it fails.
The package writes it from the fitted pipeline and an evaluation.
"""

# %%
# Evaluate on other slides
# ------------------------

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import PatchGalleryDisplay, ReliabilityDisplay
from pcam_sklearn.report import evaluate, hash_patches, model_card

data = make_patches(n_samples=700, n_slides=24, random_state=0)
X, y, slides = data.images, data.target, data.groups
rest, test = slide_train_test_split(y, slides, random_state=0)
train, settle = slide_train_test_split(y[rest], slides[rest], random_state=0)
train, settle = rest[train], rest[settle]

pipeline = make_pcam_pipeline(
    crop_size=32,
    network="residual",
    filters=(16, 32),
    augment=("d4", "stain"),
    learning_rate=0.005,
    epochs=12,
    random_state=0,
)
pipeline.fit(X[train], y[train])
point = choose_operating_point(y[settle], pipeline.predict_proba(X[settle])[:, 1], sensitivity=0.9)
evaluation = evaluate(
    pipeline, X[test], y[test], slides[test], operating_point=point, n_rounds=500, random_state=0
)

# %%
# The figures come first
# ----------------------
# Each has an interval that resamples slides.

print(evaluation.metrics_table().round(3).to_string())

# %%
# Slide by slide: which slides carry the mean, and which are missed?

print(evaluation.slide_table().round(2).to_string())

# %%
# By colour of the slides: laboratories stain differently.

print(evaluation.stain_table().round(3).to_string())

# %%
# Are the probabilities right?

# Picture: the reliability curve on the test slides, and the number of patches by probability.
ReliabilityDisplay.from_predictions(evaluation.positive, evaluation.y_prob, pos_label=True)

# %%
# Where is the model most wrong?

# Picture: the four patches with the worst predictions, each whole, cut to its center, and as a
#  histogram.
PatchGalleryDisplay.from_predictions(
    X[test], y[test], evaluation.y_prob, select="most wrong", threshold=point.threshold, n_patches=4
)

# %%
# The card
# --------
# It holds all of this, and what no measurement tells: the intended use and the known failures.
# ``card.write_html("card.html")`` writes one page with its pictures.

card = model_card(
    pipeline,
    evaluation,
    title="A small network for drawn patches",
    data={"source": "make_patches", "patches": len(train), "sha256": hash_patches(X[train])},
    split="by whole slides",
    X=X[test],
)
for section in card.sections:
    print(f"{section.heading}: {len(section.blocks)} paragraphs, tables and pictures")

# %%
# Read it from the end of trust: intended use, then failures, then the rows of single slides, and
# the AUC last.

print(card.to_markdown()[:1500])
