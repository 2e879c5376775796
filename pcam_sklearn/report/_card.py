"""The model card: its sections, its pictures and its standing warnings."""

import io
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import RocCurveDisplay
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._estimators import classifiers_in
from pcam_sklearn.plotting import (
    PatchGalleryDisplay,
    ReliabilityDisplay,
    RocBandDisplay,
    TrainingHistoryDisplay,
)
from pcam_sklearn.preprocessing import PatchReader
from pcam_sklearn.report._document import ModelCard, Picture, Section
from pcam_sklearn.report._evaluation import Evaluation

_INTENDED_USE = (
    "Research and teaching only. This is not a medical device: it has not been approved for "
    "diagnosis, and no decision about a patient may rest on it.",
    "Intended use: to estimate the probability that the center (32 x 32 of 96 x 96 pixels at "
    "about 1 µm per pixel) of an H&E-stained lymph node patch holds tumour tissue, in "
    "studies of methods.",
    "Out of scope: whole slides and patients (a patch is not a diagnosis), other organs, stains, "
    "scanners and magnifications.",
)
_FAILURES = (
    "Other tissue: the model learned from H&E-stained sections of sentinel lymph nodes at 10x "
    "(PatchCamelyon, from Camelyon16). Its probabilities for anything else have no meaning.",
    "Other hospitals: the data come from two hospitals and few scanners. The colours of another "
    "laboratory can change the probabilities a lot. Measure before use.",
    "Prevalence: the patches were selected, with hard negatives among them, and about half are "
    "positive. This is not a prevalence: compute predictive values for that of your own site.",
    "The label counts tumour in the center only: a patch with tumour in its border is labelled 0, "
    "and a patch with a single pixel of tumour in its center is labelled 1.",
    "Patches of one slide resemble each other. If a split puts patches of one slide on both sides, "
    "its figures are too good. Intervals that resample patches are too narrow.",
    "Expect mistakes on patches that are out of focus, blank or full of fat.",
)
_STAINS = (
    "A slide is pinker if the mean blue of its patches lies below their mean red, and bluer "
    "otherwise; the two are shown because laboratories stain differently, and a model can be much "
    "worse on one of them."
)
_PACKAGES = (
    "pcam-sklearn", "scikit-learn", "keras", "scikeras", "tensorflow", "torch", "jax", "numpy",
    "pandas",
)  # fmt: skip
_LISTS = ("steps", "estimators")  # Parameters that list estimators.
_TRAINING = ("Parameters of the network", "Epochs trained", "Best epoch")
_NOT_STATED = "Not stated."
_NO_THRESHOLD = (
    "None was chosen: the model gives probabilities only. Do not assume that 0.5 is a good "
    "threshold."
)


def model_card(
    estimator: Any, evaluation: Evaluation, *, title: str = "Tumour tissue in histology patches",
    data: Mapping[str, Any] | None = None, split: str | None = None, X: Any = None,
) -> ModelCard:  # fmt: skip
    """Write the model card of a fitted classifier: its recipe, its metrics and its failures.

    Parameters
    ----------
    estimator : CNNClassifier or sklearn.pipeline.Pipeline
        The fitted classifier, or a pipeline that ends in one, or a `VotingClassifier` of these,
        whose networks are described one by one.
    evaluation : Evaluation
        The result of :func:`evaluate` on slides that took no part in training.
    title : str, default="Tumour tissue in histology patches"
        The name of the model.
    data : mapping of str to object, default=None
        Facts about the training data, for a table, such as ``{"source": ..., "patches": ...,
        "sha256": hash_patches(X_train)}``.
    split : str, default=None
        The rule that separated the patches for training from those for evaluation.
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,), default=None
        Patches of the evaluation, or their paths. If given, the worst predictions are shown.

    Returns
    -------
    ModelCard
        The card, with `to_html`, `to_markdown`, `write_html` and `write_markdown`.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If X is not as long as the evaluation.

    References
    ----------
    Mitchell et al. (2019), Model cards for model reporting, FAT*. Mongan, Moy, Kahn (2020),
    Checklist for artificial intelligence in medical imaging (CLAIM), Radiology: AI 2:e200029.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from pcam_sklearn.datasets import make_patches
    >>> from pcam_sklearn.report import evaluate, model_card
    >>> data = make_patches(n_samples=60, n_slides=6, random_state=0)
    >>> dummy = DummyClassifier().fit(data.images, data.target)
    >>> evaluation = evaluate(dummy, data.images, data.target, data.groups, n_rounds=100)
    >>> model_card(dummy, evaluation).sections[0].heading
    'Intended use'
    """
    check_is_fitted(estimator)
    return ModelCard(
        title,
        [
            Section("Intended use", list(_INTENDED_USE)),
            _make_data_section(evaluation, data, split),
            Section("Metrics", [*_describe_metrics(evaluation), *_draw_curves(evaluation)]),
            Section("Operating point", _describe_operating_point(evaluation)),
            Section("By group of slides", _list_slides(evaluation)),
            Section("Known failure modes", [*_FAILURES, *_draw_worst_patches(evaluation, X)]),
            Section("Recipe", [_list_parameters(estimator), *_describe_training(estimator)]),
            Section("Versions", [_list_versions()]),
        ],
    )


def _make_data_section(
    evaluation: Evaluation, data: Mapping[str, Any] | None, split: str | None
) -> Section:
    groups = evaluation.groups
    measured = {
        "Patches": f"{len(evaluation.positive):,}",
        "Positive": f"{evaluation.positive.sum():,} ({evaluation.positive.mean():.1%})",
        "Slides": "not given" if groups is None else f"{len(set(groups.tolist())):,}",
        "SHA-256 of the pixels": evaluation.data_sha256 or "not computed",
    }
    blocks: list[Any] = [
        "Training data:" if data else f"Training data: {_NOT_STATED}",
        *([_make_table(data)] if data else []),
        f"Split: {split or _NOT_STATED}",
        f"Evaluated on {evaluation.name}:",
        _make_table(measured),
    ]
    return Section("Data", blocks)


def _describe_metrics(evaluation: Evaluation) -> list[Any]:
    table = evaluation.metrics_table()
    table.index.name = "metric"
    level = f"{100 * evaluation.auc.confidence:g} % intervals"
    if evaluation.groups is None:
        note = f"{level} treat patches as independent (DeLong, Wilson). They are too narrow by far."
    else:
        rounds, seed = evaluation.n_rounds, evaluation.random_state
        note = f"{level} resample slides ({rounds:,} rounds, seed {seed})."
    return [table, f"{note} A dash means that no interval is given."]


def _draw_curves(evaluation: Evaluation) -> list[Picture]:
    # 15 bins, as for the calibration error among the metrics: the two figures must agree.
    reliability = ReliabilityDisplay.from_predictions(
        evaluation.positive, evaluation.y_prob, n_bins=15, pos_label=True
    )
    caption = "Reliability curve, and the number of patches by probability"
    return [_draw_roc(evaluation), _save_picture("reliability", reliability.figure_, caption)]


def _draw_roc(evaluation: Evaluation) -> Picture:
    # The band resamples slides, so scikit-learn's curve takes its place without them.
    if evaluation.groups is None:
        return _draw_roc_without_band(evaluation)
    banded = RocBandDisplay.from_predictions(
        evaluation.positive, evaluation.y_prob, evaluation.groups,
        operating_point=evaluation.operating_point, n_rounds=evaluation.n_rounds,
        confidence=evaluation.auc.confidence, random_state=evaluation.random_state, pos_label=True,
    )  # fmt: skip
    return _save_picture("roc", banded.figure_, "ROC curve with a band by resampled slides")


def _draw_roc_without_band(evaluation: Evaluation) -> Picture:
    _, ax = plt.subplots(figsize=(5.6, 5.6), layout="constrained")
    plain = RocCurveDisplay.from_predictions(
        evaluation.positive, evaluation.y_prob,
        pos_label=True, name=evaluation.name, plot_chance_level=True, ax=ax,
    )  # fmt: skip
    ax.set(xlabel="1 - specificity", ylabel="Sensitivity", title="ROC curve")
    caption = "ROC curve, without a band because no slides were given"
    return _save_picture("roc", plain.figure_, caption)


def _describe_operating_point(evaluation: Evaluation) -> list[Any]:
    point, result = evaluation.operating_point, evaluation.operating_result
    if point is None or result is None:
        return [_NO_THRESHOLD]
    facts = {
        "Threshold": f"{point.threshold:.4g}",
        "Chosen for": f"{point.criterion}, before this measurement, and frozen",
        "Sensitivity there": f"{point.sensitivity:.3f}",
        "Specificity there": f"{point.specificity:.3f}",
        "Sensitivity here": str(result.sensitivity),
        "Specificity here": str(result.specificity),
        "Counts here": f"{result.tp:,} true positive, {result.fn:,} false negative, "
        f"{result.tn:,} true negative, {result.fp:,} false positive",
    }
    # A reader sees from two prevalences how much the predictive values depend on it.
    for prevalence in (0.01, 0.1):
        ppv, npv = result.predictive_values(prevalence)
        facts[f"At a prevalence of {prevalence:g}"] = f"PPV {ppv:.3f}, NPV {npv:.3f}"
    return [_make_table(facts)]


def _list_slides(evaluation: Evaluation) -> list[Any]:
    slides, hospitals = evaluation.slide_table(), evaluation.hospital_table()
    if slides is None:
        return ["The evaluation was given no slides."]
    stains = evaluation.stain_table()
    by_stain = ["The colours of the slides are not known."] if stains is None else [stains, _STAINS]
    note = "A dash means that a slide of one class has no such figure."
    return [*([] if hospitals is None else [hospitals]), *by_stain, slides, note]


def _draw_worst_patches(evaluation: Evaluation, X: Any) -> list[Picture]:
    if X is None:
        return []
    height, width = PatchReader().transform(X[:1]).shape[1:3]
    gallery = PatchGalleryDisplay.from_predictions(
        X, evaluation.positive.astype(int), evaluation.y_prob, select="most wrong",
        crop_size=min(32, height, width),
        threshold=0.5 if evaluation.threshold is None else evaluation.threshold, pos_label=1,
    )  # fmt: skip
    return [_save_picture("most-wrong", gallery.figure_, "The patches with the worst predictions")]


def _describe_training(estimator: Any) -> list[Any]:
    """Return a table with a column for each network, and the history of each."""
    classifiers = classifiers_in(estimator)
    facts = {name: _facts_of_training(found) for name, found in classifiers.items()}
    columns = {name or "value": pd.Series(column) for name, column in facts.items() if column}
    blocks: list[Any] = []
    if columns:
        table = pd.DataFrame(columns).reindex(_TRAINING).dropna(how="all").fillna("-")
        blocks.append(table.rename_axis("fact"))
    for number, (name, classifier) in enumerate(classifiers.items(), start=1):
        if getattr(classifier, "history_", None):
            history = TrainingHistoryDisplay.from_estimator(classifier)
            # The name of a member may hold anything, so no file is named after it.
            file, owner = (f"history-{number}", f" of {name}") if name else ("history", "")
            caption = f"Training and validation{owner} by epoch"
            blocks.append(_save_picture(file, history.figure_, caption))
    return blocks


def _facts_of_training(classifier: Any) -> dict[str, str]:
    # Other classifiers than CNNClassifier have none of these attributes, and get no such rows.
    facts = {}
    if hasattr(classifier, "model_"):
        facts[_TRAINING[0]] = f"{classifier.model_.count_params():,}"
    for name, attribute in zip(_TRAINING[1:], ("n_iter_", "best_epoch_"), strict=True):
        if hasattr(classifier, attribute):
            facts[name] = str(getattr(classifier, attribute))
    return facts


def _list_parameters(estimator: Any) -> pd.DataFrame:
    """Return all parameters, with the seed, but without the estimators that hold them."""
    values = {
        # The repr of a function holds its address, which differs from run to run.
        name: getattr(value, "__name__", repr(value))
        for name, value in sorted(estimator.get_params().items())
        if not hasattr(value, "get_params") and name.rpartition("__")[2] not in _LISTS
    }
    return _make_table(values, "parameter")


def _list_versions() -> pd.DataFrame:
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return _make_table(found, "package")


def _make_table(facts: Mapping[str, Any], index: str = "fact") -> pd.DataFrame:
    text = {str(name): str(value) for name, value in facts.items()}
    return pd.DataFrame({"value": list(text.values())}, index=pd.Index(list(text), name=index))


def _save_picture(name: str, figure: Figure, caption: str) -> Picture:
    buffer = io.BytesIO()
    # The default metadata names the version of matplotlib, and the bytes would differ with it.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return Picture(name, buffer.getvalue(), caption)
