"""Tune the pipeline with GridSearchCV over folds of slides, and save the best one.

    python examples/grid_search.py                    uses synthetic patches
    python examples/grid_search.py FOLDER [MODEL]     uses a folder in Kaggle's layout

It writes the fitted pipeline to MODEL (default: model.pcam).
"""

import sys

import pandas as pd
from build_pipeline import load
from sklearn.model_selection import GridSearchCV

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.persistence import save_model


def main():
    """Search, print the candidates by rank, and save the best one."""
    X, y, slides = load(sys.argv[1] if len(sys.argv) > 1 else None)
    search = GridSearchCV(
        make_pcam_pipeline(network="notebook", epochs=5, random_state=0),
        {"cnnclassifier__dropout": [0.3, 0.5]},
        scoring="roc_auc",
        cv=SlideKFold(3, random_state=0),
    )
    # The slides decide the folds, and each fit varies stains as they differ between slides.
    search.fit(X, y, groups=slides, cnnclassifier__groups=slides)

    table = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    columns = ["mean_test_score", "std_test_score", "mean_fit_time", "params"]
    print(table[columns].to_string(index=False))

    model = sys.argv[2] if len(sys.argv) > 2 else "model.pcam"
    save_model(search, model)
    print(f"the best pipeline is saved in {model}")


if __name__ == "__main__":
    main()
