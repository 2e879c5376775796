"""
Grid search over slides
=======================

Every parameter of the pipeline has a name, so scikit-learn's searches can tune it. The folds must
hold whole slides.
"""

# %%
# Candidates
# ----------
# Names begin with the step, as in any pipeline. :func:`~pcam_sklearn.make_search_space` returns a
# larger grid that is ready to use.

from sklearn.model_selection import GridSearchCV

from pcam_sklearn import make_pcam_pipeline, make_search_space
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.plotting import SearchResultsDisplay

data = make_patches(n_samples=240, n_slides=9, random_state=0)
pipeline = make_pcam_pipeline(
    crop_size=32, network="residual", filters=(8, 16), augment="d4", epochs=4, random_state=0
)
grid = {
    "centercropnormalizer__crop_size": [32, 48],
    "cnnclassifier__learning_rate": [0.001, 0.005],
}
print("a larger grid:", make_search_space())

# %%
# Search
# ------
# ``groups`` goes to the splitter, which deals whole slides to the folds, and
# ``cnnclassifier__groups`` to each fit, which varies stains as they differ. A search with
# ``scoring="roc_auc"`` compares probabilities, not labels.

search = GridSearchCV(
    pipeline, grid, scoring="roc_auc", cv=SlideKFold(3, random_state=0), refit=True
)
slides = data.groups
search.fit(data.images, data.target, groups=slides, cnnclassifier__groups=slides)
print(search.best_params_)

# %%
# Look at all candidates
# ----------------------
# The dots are folds. Where the folds of two candidates overlap, the difference may be chance.

# Picture: the AUC of four candidates, best first, with a dot for each fold.
SearchResultsDisplay.from_estimator(search)

# %%
# The best AUC was chosen among four, so it is a little too good. To report a figure, hold out
# slides before the search, and measure ``search.best_estimator_`` on them once.
