"""Let two networks vote on the same patches, and compare the vote with each of them.

    python examples/blend.py                    uses synthetic patches
    python examples/blend.py FOLDER [MODEL]     uses a folder in Kaggle's layout

It prints the AUC of each network and of the vote on slides that no network has seen, and writes the
fitted vote to MODEL (default: blend.pcam).
"""

import sys

import numpy as np
from build_pipeline import load
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from pcam_sklearn import PatchReader, make_pcam_pipeline
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.persistence import load_model, save_model

RECIPES = {
    "residual": {"network": "residual", "crop_size": 32, "filters": (8, 16), "epochs": 6},
    "two-stream": {"network": "two-stream", "filters": (8, 16), "epochs": 3},
}


def main():
    """Train both networks, print what each and both together reach, save and load the vote."""
    X, y, slides = load(sys.argv[1] if len(sys.argv) > 1 else None)
    folds = SlideKFold(4, random_state=0)
    train, test = next(folds.split(X, y, slides))

    # [1:] leaves out the reader of each pipeline: one reader in front reads the patches for both.
    members = [
        (name, make_pcam_pipeline(**recipe, random_state=0)[1:]) for name, recipe in RECIPES.items()
    ]
    blend = make_pipeline(PatchReader(), VotingClassifier(members, voting="soft"))
    blend.fit(X[train], y[train])

    patches = blend[0].transform(X[test])
    for name, member in blend[-1].named_estimators_.items():
        print(f"{name:12} AUC {roc_auc_score(y[test], member.predict_proba(patches)[:, 1]):.3f}")
    probabilities = blend.predict_proba(X[test])
    print(f"{'both':12} AUC {roc_auc_score(y[test], probabilities[:, 1]):.3f}")

    model = sys.argv[2] if len(sys.argv) > 2 else "blend.pcam"
    save_model(blend, model)
    difference = np.abs(load_model(model).predict_proba(X[test]) - probabilities).max()
    print(f"saved in {model}; the probabilities of the loaded vote differ by {difference:g}")


if __name__ == "__main__":
    main()
