"""Classifiers with a threshold as nodes."""

import copy
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, get_scorer_names, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import decode, encode
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    read_held,
    read_learned,
    read_parameters,
    write_held,
    write_parameters,
    write_values,
)
from pcam_sklearn.persistence._rules import (
    COUNT,
    CV,
    FLAG,
    INDEX,
    N_JOBS,
    NUMBER,
    SEED,
    SIMPLE,
    is_word,
    one_of,
)
from pcam_sklearn.persistence._toys import TOY_CODES, TOY_X, Toy

_RESPONSES = one_of("auto", "decision_function", "predict_proba")
_TUNED = {
    "scoring": Rule(
        "the name of a scorer", lambda v: isinstance(v, str) and v in get_scorer_names()
    ),
    "response_method": _RESPONSES,
    "thresholds": Rule("at most 100,000", lambda v: COUNT.test(v) and 2 <= v <= 100_000),
    "cv": CV,
    "refit": FLAG,
    "n_jobs": N_JOBS,
    "random_state": SEED,
    "store_cv_results": FLAG,
}
_TUNED_LEARNED = {"best_threshold_": NUMBER, "best_score_": NUMBER, "n_features_in_": INDEX}
_FIXED = {
    "threshold": Rule("'auto' or a number", lambda v: is_word(v, "auto") or NUMBER.test(v)),
    "pos_label": SIMPLE,
    "response_method": _RESPONSES,
}


def _write_tuned(tuned: TunedThresholdClassifierCV, writer: Writer) -> Node:
    node: Node = {
        "parameters": write_parameters(tuned, _TUNED, writer),
        "estimator": write_held(tuned.estimator, "the estimator of the threshold", writer),
        "fitted": None,
        "learned": {},
    }
    if hasattr(tuned, "estimator_"):
        node["fitted"] = write_held(tuned.estimator_, "the estimator of the threshold", writer)
        learned = {k: v for k, v in vars(tuned).items() if k in _TUNED_LEARNED}
        node["learned"] = write_values(tuned, learned, _TUNED_LEARNED)
        node["positive"] = encode(positive_label(tuned), "the positive label")
        if "cv_results_" in vars(tuned):
            writer.leave_out(tuned, "cv_results_", "its curve")
    return node


def positive_label(tuned: TunedThresholdClassifierCV) -> Any:
    """Return the label that is predicted for scores from the threshold on.

    It hides in a scorer. A prediction tells: 0.5 is below 0.9, so the label given is the other one.
    """
    probe = copy.copy(tuned).set_params(response_method="auto")
    probe.estimator_, probe.best_threshold_ = Toy(tuned.classes_), 0.9
    given = probe.predict(np.array([[0.5]]))[0]
    return tuned.classes_[0] if given == tuned.classes_[1] else tuned.classes_[1]


def _read_tuned(node: Node, reader: Reader) -> TunedThresholdClassifierCV:
    held, fitted = read_held(node, "estimator", reader), read_held(node, "fitted", reader)
    parameters = read_parameters(node, _TUNED, reader)
    if fitted is None:
        return TunedThresholdClassifierCV(held, **parameters)
    learned = read_learned(node, _TUNED_LEARNED, ("best_threshold_",))
    positive = decode(node.get("positive"), "the positive label")
    if not SIMPLE.test(positive) or positive not in list(fitted.classes_):
        raise ModelFileError("the positive label of a threshold is none of the classes")
    toy = TunedThresholdClassifierCV(
        Toy(fitted.classes_),
        scoring=make_scorer(f1_score, pos_label=positive, zero_division=0.0),
        thresholds=2,
        cv="prefit",
        refit=False,
    )
    tuned = toy.fit(TOY_X, fitted.classes_[TOY_CODES])
    for name in [name for name in vars(tuned) if name in _TUNED_LEARNED]:
        delattr(tuned, name)
    defaults = TunedThresholdClassifierCV(held).get_params(deep=False)
    vars(tuned).update(defaults | parameters, estimator_=fitted, **learned)
    return tuned


def _write_fixed(fixed: FixedThresholdClassifier, writer: Writer) -> Node:
    fitted = getattr(fixed, "estimator_", None)
    return {
        "parameters": write_parameters(fixed, _FIXED, writer, tuple(_FIXED)),
        "estimator": write_held(fixed.estimator, "the estimator of the threshold", writer),
        "fitted": write_held(fitted, "the estimator of the threshold", writer),
    }


def _read_fixed(node: Node, reader: Reader) -> FixedThresholdClassifier:
    held, fitted = read_held(node, "estimator", reader), read_held(node, "fitted", reader)
    fixed = FixedThresholdClassifier(held, **read_parameters(node, _FIXED, reader))
    if fitted is not None:
        fixed.estimator_ = fitted
        if fixed.pos_label is not None and fixed.pos_label not in list(fitted.classes_):
            raise ModelFileError("the positive label of a threshold is none of the classes")
    return fixed


THRESHOLDS = (
    Kind(TunedThresholdClassifierCV, _write_tuned, _read_tuned),
    Kind(FixedThresholdClassifier, _write_fixed, _read_fixed),
)
