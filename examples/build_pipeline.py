"""Build the pipeline, train it, and test it on slides it has never seen.

    python examples/build_pipeline.py             uses synthetic patches
    python examples/build_pipeline.py FOLDER      uses a folder in Kaggle's layout

It prints the pipeline and the AUC on the slides held out.
"""

import sys

from sklearn.metrics import roc_auc_score

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import load_kaggle, make_patches
from pcam_sklearn.model_selection import SlideKFold


def load(folder):
    """Return patches or paths, their labels and their slides."""
    if folder is None:
        data = make_patches(n_samples=600, n_slides=16, random_state=0)
        return data.images, data.target, data.groups
    data = load_kaggle(folder)
    return data.paths, data.target, data.groups


def main():
    """Train on three quarters of the slides, test on the others."""
    X, y, slides = load(sys.argv[1] if len(sys.argv) > 1 else None)
    # Patches of one slide look alike, so a slide must not be on both sides of the split.
    folds = SlideKFold(4, random_state=0)
    train, test = next(folds.split(X, y, slides))

    pipeline = make_pcam_pipeline(crop_size=32, network="notebook", epochs=8, random_state=0)
    print(pipeline)
    pipeline.fit(X[train], y[train])

    probabilities = pipeline.predict_proba(X[test])[:, 1]
    print(f"AUC on slides never seen: {roc_auc_score(y[test], probabilities):.3f}")


if __name__ == "__main__":
    main()
