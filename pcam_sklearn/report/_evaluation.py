"""The evaluation of a classifier on patches that it was not trained on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pcam_sklearn import metrics
from pcam_sklearn._estimators import score_patches, slides_trained_on
from pcam_sklearn.metrics import Interval, OperatingPoint, OperatingResult
from pcam_sklearn.metrics._inputs import check_groups, check_probabilities
from pcam_sklearn.metrics._slides import table_by
from pcam_sklearn.model_selection import warn_of_shared_slides
from pcam_sklearn.report._hash import hash_patches
from pcam_sklearn.report._stains import stain_of_slides


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labels, probabilities and slides of a set of patches, and the metrics measured on them.

    :func:`evaluate` and :func:`evaluate_predictions` make it.

    Attributes
    ----------
    name : str
        The name of the set of patches.
    positive : ndarray of shape (n_samples,), bool
        True for the positive patches.
    y_prob : ndarray of shape (n_samples,)
        Probability of the positive class.
    groups, hospital : ndarray of shape (n_samples,) or None
        Slide and hospital of each patch, or None where they are not known.
    auc, brier, nll : Interval
        Area under the ROC curve, Brier score and negative log-likelihood. The intervals resample
        slides. Where the slides are not known, the area has DeLong's interval, which is too narrow
        if patches share slides, and the other two have nan as their ends.
    ece : float
        Expected calibration error in [0, 1], from 15 bins.
    operating_point : OperatingPoint or None
        The threshold chosen on other slides.
    operating_result : OperatingResult or None
        Sensitivity and specificity at that threshold, on these patches.
    n_rounds : int
        Number of bootstrap rounds.
    random_state : int or None
        Seed of the bootstrap.
    data_sha256 : str or None
        Hash of the patches, from :func:`hash_patches`.
    stain : ndarray of shape (n_samples,) or None
        Colour group of each patch's slide, from :func:`stain_of_slides`, or None where it is not
        known.
    """

    name: str
    positive: np.ndarray
    y_prob: np.ndarray
    groups: np.ndarray | None
    hospital: np.ndarray | None
    auc: Interval
    brier: Interval
    nll: Interval
    ece: float
    operating_point: OperatingPoint | None
    operating_result: OperatingResult | None
    n_rounds: int
    random_state: int | None
    data_sha256: str | None
    stain: np.ndarray | None = None

    @property
    def threshold(self) -> float | None:
        """The threshold of the operating point, or None if no point was chosen."""
        return None if self.operating_point is None else self.operating_point.threshold

    def metrics_table(self) -> pd.DataFrame:
        """Return the metrics with their intervals.

        Returns
        -------
        table : pandas.DataFrame
            One row per metric with ``estimate``, ``low`` and ``high``; nan means unknown.
        """
        rows: dict[str, Interval] = {
            "ROC AUC": self.auc,
            "Brier score": self.brier,
            "Negative log-likelihood": self.nll,
            "Expected calibration error": _without_ends(self.ece, self.auc.confidence),
        }
        if self.operating_result is not None:
            rows["Sensitivity"] = self.operating_result.sensitivity
            rows["Specificity"] = self.operating_result.specificity
        table = {name: (row.estimate, row.low, row.high) for name, row in rows.items()}
        return pd.DataFrame.from_dict(table, orient="index", columns=["estimate", "low", "high"])

    def slide_table(self) -> pd.DataFrame | None:
        """Return the rates of each slide, by :func:`~pcam_sklearn.metrics.slide_table`.

        Returns
        -------
        table : pandas.DataFrame or None
            One row per slide, or None where the slides are not known.
        """
        if self.groups is None:
            return None
        return metrics.slide_table(
            self.positive, self.y_prob, self.groups, threshold=self.threshold, pos_label=True
        )

    def hospital_table(self) -> pd.DataFrame | None:
        """Return the rates of each hospital, by :func:`~pcam_sklearn.metrics.hospital_table`.

        Returns
        -------
        table : pandas.DataFrame or None
            One row per hospital, or None where slides or hospitals are not known.
        """
        return self._table_by("hospital", self.hospital)

    def stain_table(self) -> pd.DataFrame | None:
        """Return the rates of each colour group of slides.

        Returns
        -------
        table : pandas.DataFrame or None
            One row per group, or None where slides or colours are not known.
        """
        return self._table_by("stain", self.stain)

    def _table_by(self, name: str, values: np.ndarray | None) -> pd.DataFrame | None:
        if self.groups is None or values is None:
            return None
        return table_by(
            name, values, self.positive, self.y_prob, self.groups, threshold=self.threshold,
            n_rounds=self.n_rounds, confidence=self.auc.confidence, random_state=self.random_state,
            pos_label=True,
        )  # fmt: skip


def evaluate(
    estimator: Any, X: Any, y: ArrayLike, groups: ArrayLike | None = None, *, pos_label: Any = None,
    **settings: Any,
) -> Evaluation:  # fmt: skip
    """Predict patches and measure how good the predictions are.

    Parameters
    ----------
    estimator : classifier or sklearn.pipeline.Pipeline
        The fitted estimator; it must have `predict_proba`.
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
        Patches, or paths of their files, from slides that took no part in training.
    y : array-like of shape (n_samples,)
        Labels of two classes.
    groups : array-like of shape (n_samples,), default=None
        The slide of each patch.
    pos_label : object, default=None
        The positive label; None takes the last of the estimator's classes.
    **settings : parameters of :func:`evaluate_predictions`
        Without `data_sha256`, the hash of X is computed, by :func:`hash_patches`. Without `stain`,
        the colour groups come from :func:`stain_of_slides` if `groups` is known and X holds
        patches; ``stain=None`` leaves them out.

    Returns
    -------
    Evaluation
        The predictions, and the metrics measured on them.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If `pos_label` is not a class of the estimator, or :func:`evaluate_predictions` raises it.

    Warns
    -----
    pcam_sklearn.model_selection.SlideLeakageWarning
        If the classifier knows the slides that it was fitted on, and `groups` holds any of them.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from pcam_sklearn.datasets import make_patches
    >>> from pcam_sklearn.report import evaluate
    >>> data = make_patches(n_samples=60, n_slides=6, random_state=0)
    >>> dummy = DummyClassifier().fit(data.images, data.target)
    >>> evaluate(dummy, data.images, data.target, data.groups, n_rounds=100).auc.estimate
    0.5
    """
    # Warn first: predicting and measuring may take minutes.
    warn_of_shared_slides(slides_trained_on(estimator), groups)
    prob, pos_label = score_patches(estimator, X, pos_label)
    # Hashing reads every patch once more, so a known hash is taken as it is.
    if "data_sha256" not in settings:
        settings["data_sha256"] = hash_patches(X)
    if "stain" not in settings:
        settings["stain"] = _find_stain(X, groups)
    return evaluate_predictions(y, prob, groups, pos_label=pos_label, **settings)


def _find_stain(X: Any, groups: ArrayLike | None) -> np.ndarray | None:
    # With a known hash, X may hold whatever the estimator takes, such as features of patches.
    if groups is None or np.ndim(X) not in (1, 4):
        return None
    return stain_of_slides(X, groups)


def evaluate_predictions(
    y_true: ArrayLike, y_prob: ArrayLike, groups: ArrayLike | None = None, *,
    hospital: ArrayLike | None = None, operating_point: OperatingPoint | None = None,
    name: str = "held-out patches", n_rounds: int = 1000, confidence: float = 0.95,
    random_state: int | None = 0, pos_label: Any = None, data_sha256: str | None = None,
    stain: ArrayLike | None = None,
) -> Evaluation:  # fmt: skip
    """Measure how good predicted probabilities are.

    Parameters
    ----------
    y_true, y_prob : array-like of shape (n_samples,)
        Labels of two classes, and probability of the positive class, in [0, 1].
    groups, hospital : array-like of shape (n_samples,), default=None
        The slide and the hospital of each patch. At least two slides must hold positive patches,
        and at least two must hold negative ones.
    operating_point : OperatingPoint, default=None
        A threshold chosen on other slides.
    name : str, default="held-out patches"
        The name of the set of patches.
    n_rounds : int, default=1000
        Number of bootstrap rounds, at least 100.
    confidence : float, default=0.95
        Confidence level, in (0, 1).
    random_state : int or None, default=0
        Seed of the bootstrap.
    pos_label : object, default=None
        The positive label; None takes the larger of the two.
    data_sha256 : str, default=None
        Hash of the patches, for the record.
    stain : array-like of shape (n_samples,), default=None
        The colour group of each patch's slide, from :func:`stain_of_slides`.

    Returns
    -------
    Evaluation
        The predictions, and the metrics measured on them.

    Raises
    ------
    ValueError
        If all patches are of one class, there are too few slides, a probability lies outside
        [0, 1], a value is missing, or the lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.report import evaluate_predictions
    >>> rng = np.random.default_rng(0)
    >>> slide, prob = np.repeat(np.arange(30), 40), rng.random(1200)
    >>> evaluation = evaluate_predictions(rng.random(1200) < prob, prob, slide, n_rounds=100)
    >>> print(evaluation.auc)
    0.829 (95 % CI 0.805 to 0.851)
    """
    positive, prob = check_probabilities(y_true, y_prob, pos_label, both_classes=True)
    groups = _check_if_known(groups, len(positive), "groups")
    hospital = _check_if_known(hospital, len(positive), "hospital")
    stain = _check_if_known(stain, len(positive), "stain")
    # One dictionary, so that all intervals share rounds, seed and confidence.
    settings: dict[str, Any] = {"n_rounds": n_rounds, "random_state": random_state}
    settings["confidence"] = confidence
    result = None
    if operating_point is not None:
        result = operating_point.evaluate(positive, prob, groups, pos_label=True, **settings)
    return Evaluation(
        name=name, positive=positive, y_prob=prob, groups=groups, hospital=hospital,
        **_measure(positive, prob, groups, settings),
        ece=metrics.expected_calibration_error(positive, prob, pos_label=True),
        operating_point=operating_point, operating_result=result,
        n_rounds=n_rounds, random_state=random_state, data_sha256=data_sha256, stain=stain,
    )  # fmt: skip


def _check_if_known(values: ArrayLike | None, n_samples: int, name: str) -> np.ndarray | None:
    if values is None:
        return None
    check_groups(values, n_samples, name)
    return np.asarray(values)


def _measure(
    positive: np.ndarray, prob: np.ndarray, groups: np.ndarray | None, settings: dict[str, Any]
) -> dict[str, Interval]:
    """Return area, Brier score and log-likelihood; without groups only the area has an interval."""
    # Both scores are means over patches: averaging losses is quicker than scoring every round.
    brier = (prob - positive) ** 2
    # scikit-learn's log_loss clips by the same epsilon, so a certain mistake costs the same.
    nll = -np.log(np.clip(np.where(positive, prob, 1 - prob), np.finfo(np.float64).eps, 1))
    if groups is None:
        confidence = settings["confidence"]
        return {
            "auc": metrics.auc_delong(positive, prob, confidence=confidence, pos_label=True),
            "brier": _without_ends(float(brier.mean()), confidence),
            "nll": _without_ends(float(nll.mean()), confidence),
        }
    boot = metrics.cluster_bootstrap
    # The default scale, logit, keeps intervals in [0, 1]; the log-likelihood may exceed 1.
    cost = boot(_average_loss, positive, nll, groups, scale="identity", **settings)
    return {
        "auc": metrics.auc_cluster_bootstrap(positive, prob, groups, **settings),
        "brier": boot(_average_loss, positive, brier, groups, **settings),
        "nll": replace(cost, low=max(cost.low, 0.0)),  # No patch makes a loss negative.
    }


def _average_loss(positive: np.ndarray, loss: np.ndarray, *, sample_weight: np.ndarray) -> float:
    return float(np.average(loss, weights=sample_weight))


def _without_ends(estimate: float, confidence: float) -> Interval:
    return Interval(estimate, np.nan, np.nan, confidence)
