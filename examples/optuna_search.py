"""Search with Optuna by ask and tell; a training that falls behind ends after a few epochs.

    python examples/optuna_search.py             uses synthetic patches
    python examples/optuna_search.py FOLDER      uses a folder in Kaggle's layout

It needs Optuna (pip install optuna). It prints each trial, and the AUC of the best candidate on
slides that took no part in the search.
"""

import sys

import keras
import optuna
from build_pipeline import load
from sklearn.metrics import roc_auc_score

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.model_selection import SlideKFold

N_TRIALS, EPOCHS = 5, 4


class ReportEpochs(keras.callbacks.Callback):
    """Tell a trial the AUC on held-out slides after each epoch, and end it if it falls behind."""

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs=None):
        """Report, and raise TrialPruned if the trial is to end."""
        self.trial.report(logs["val_auc"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def make_pipeline(parameters, **settings):
    """Make a pipeline with the parameters of a trial."""
    fixed = {"network": "notebook", "augment": "d4", "epochs": EPOCHS, "random_state": 0}
    return make_pcam_pipeline(**fixed, **parameters, **settings)


def run_trial(study, X, y, slides):
    """Train one candidate, and tell the study what came of it."""
    trial = study.ask()
    parameters = {
        "dropout": trial.suggest_float("dropout", 0.1, 0.6),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
    }
    settings = {"validation_fraction": 0.25, "callbacks": [ReportEpochs(trial)]}
    pipeline = make_pipeline(parameters, **settings)
    try:
        # With the slides known, whole ones are held out.
        pipeline.fit(X, y, cnnclassifier__groups=slides)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, max(pipeline[-1].history_["val_auc"]))


def main():
    """Search on three quarters of the slides, and measure the best candidate on the others."""
    X, y, slides = load(sys.argv[1] if len(sys.argv) > 1 else None)
    folds = SlideKFold(4, random_state=0)
    train, test = next(folds.split(X, y, slides))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    for _ in range(N_TRIALS):
        run_trial(study, X[train], y[train], slides[train])
        last = study.trials[-1]
        print(f"trial {last.number}: {len(last.intermediate_values)} epochs, {last.state.name}")

    best = make_pipeline(study.best_params).fit(X[train], y[train])
    auc = roc_auc_score(y[test], best.predict_proba(X[test])[:, 1])
    print(f"best: {study.best_params}\nAUC on slides never seen: {auc:.3f}")


if __name__ == "__main__":
    main()
