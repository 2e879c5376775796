"""Search by halving: all candidates train for few epochs, and the better ones for more.

    python examples/halving_search.py             uses synthetic patches
    python examples/halving_search.py FOLDER      uses a folder in Kaggle's layout

It prints each round's epochs, candidates and best AUC, and the best candidate.
"""

import sys

import pandas as pd
from build_pipeline import load
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.model_selection import SlideKFold


def main():
    """Keep a third of the candidates after each round, and train them three times as long."""
    X, y, slides = load(sys.argv[1] if len(sys.argv) > 1 else None)
    search = HalvingGridSearchCV(
        make_pcam_pipeline(network="notebook", augment="d4", random_state=0),
        {"cnnclassifier__learning_rate": [0.0003, 0.001, 0.003]},
        resource="cnnclassifier__epochs",
        min_resources=1,
        max_resources=3,
        factor=3,
        scoring="roc_auc",
        cv=SlideKFold(2, random_state=0),
        refit=False,
    )
    search.fit(X, y, groups=slides)

    rounds = pd.DataFrame(search.cv_results_).groupby("iter")
    for number, table in rounds:
        epochs, best = table["n_resources"].iloc[0], table["mean_test_score"].max()
        print(f"round {number}: {len(table)} candidates, epochs {epochs}, best AUC {best:.3f}")
    print(f"best: {search.best_params_}")


if __name__ == "__main__":
    main()
