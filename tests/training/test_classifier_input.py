"""Patches, labels and weights that CNNClassifier takes, and errors about all others."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError
from support.tiny import learned, make_data, quick

X, Y = make_data()
FLOATS = X / np.float32(255)
WORDS = np.where(Y == 1, "tumor", "normal")


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(X, Y)


# --- labels


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (Y == 1, [False, True]),
        (Y.tolist(), [0, 1]),
        (Y * 2 - 1, [-1, 1]),
        (Y.astype(np.float32), [0, 1]),
        (Y.astype(np.uint64) * np.uint64(2**64 - 1), [0, 2**64 - 1]),
        (Y + 2**62, [2**62, 2**62 + 1]),
        (WORDS, ["normal", "tumor"]),
        (WORDS.astype(object), ["normal", "tumor"]),
        (WORDS.tolist(), ["normal", "tumor"]),
        (pd.Series(Y, index=range(140, 100, -1)), [0, 1]),
        (pd.Series(WORDS), ["normal", "tumor"]),
        (pd.Series(WORDS, dtype="string"), ["normal", "tumor"]),
        (pd.Series(WORDS, dtype="category"), ["normal", "tumor"]),
        (pd.Series(Y, dtype="Int64"), [0, 1]),
        (pd.Series(Y == 1, dtype="boolean"), [0, 1]),
    ],
    ids=[
        "bool", "list of int", "-1 and 1", "float", "huge unsigned", "huge", "words", "objects",
        "list of words", "Series with an index of its own", "Series of words", "Series of string",
        "Series of category", "Series of Int64", "Series of boolean",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_labels_may_be_numbers_bools_or_words(fitted, y, classes):
    classifier = quick().fit(X, y)
    assert classifier.classes_.tolist() == classes
    assert np.array_equal(classifier.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(classifier.predict(X), classifier.classes_[fitted.predict(X)])


@pytest.mark.slow
def test_labels_in_a_column_are_taken_with_scikit_learn_s_warning(fitted):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        classifier = quick().fit(X, Y[:, np.newaxis])
    assert np.array_equal(classifier.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("channels", [1, 4])
def test_patches_may_have_any_number_of_channels(channels):
    patches = np.repeat(X[..., :1], channels, axis=3)
    assert quick().fit(patches, Y).predict_proba(patches).shape == (40, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "as_weights",
    [list, lambda weights: pd.Series(weights, index=range(50, 90))],
    ids=["list", "Series"],
)
def test_weights_may_be_a_list_or_a_series(as_weights):
    weights = np.linspace(0.5, 2, 40)
    given = quick().fit(X, Y, sample_weight=as_weights(weights))
    expected = quick().fit(X, Y, sample_weight=weights)
    assert np.array_equal(given.predict_proba(X), expected.predict_proba(X))


# --- what is refused: the message, and that nothing has changed

NAN = np.where(np.arange(18)[:, None] == 3, np.nan, FLOATS)
CLASSES_3 = np.arange(40) % 3
TWENTY_WORDS = (np.arange(40) // 2).astype(str)
MISSING = np.where(Y == 1, np.nan, 0.0)

BAD = {
    "X one patch": (X[0], Y, r"got \(18, 18, 3\)\. For a single patch pass X\[np.newaxis\]"),
    "X table": (X.reshape(40, -1), Y, r"got \(40, 972\)"),
    "X empty": (X[:0], Y[:0], "0 sample"),
    "X no pixels": (X[:, :0], Y, r"at least one pixel, got shape \(40, 0, 18, 3\)"),
    "X no channels": (FLOATS[..., :0], Y, r"at least one pixel, got shape \(40, 18, 18, 0\)"),
    "X NaN": (NAN, Y, "contains NaN"),
    "X infinite": (np.where(np.isnan(NAN), np.inf, NAN), Y, "from 0 to inf"),
    "X over 1": (X.astype(np.float32), Y, r"\[0, 1\], got values from 0 to 255; .*divide"),
    "X below 0": (FLOATS - 1, Y, r"\[0, 1\], got values from -1 to 0"),
    "X over 1 a little": (np.full(X.shape, 1 + 1e-6), Y, r"to 1\.000001; .*np\.clip\(X, 0, 1\)"),
    "X over 1 by more": (FLOATS * 0 + 1.5, Y, "scale them so that white is 1"),
    "X masked": (np.ma.masked_array(X, mask=X[3, 3, 3, 0] == X), Y, "values of X are masked"),
    "y masked": (X, np.ma.masked_array(Y, mask=np.arange(40) == 3), "1 of 40 labels are masked"),
    "X int64": (X.astype(int), Y, r"got dtype int64; .*X\.astype\(np\.uint8\)"),
    "X list of int": (X.tolist(), Y, "got dtype int64"),
    "X bool": (X > 99, Y, r"got dtype bool; .*X\.astype\(np\.uint8\) \* 255"),
    "X object": (X.astype(object), Y, "got dtype object"),
    "X paths": (["a.png"] * 40, Y, "File paths go through PatchReader first"),
    "X sparse": (scipy.sparse.csr_matrix(X.reshape(40, -1)), Y, "dense"),
    "X complex": (X.astype(complex), Y, "Complex"),
    "y shorter": (X, Y[:39], r"inconsistent numbers of samples: \[40, 39\]"),
    "y None": (X, None, "requires y to be passed"),
    "y two columns": (X, np.eye(2)[Y], r"1d array, got an array of shape \(40, 2\)"),
    "y sparse": (X, scipy.sparse.csr_matrix(Y[:, None]), "dense"),
    "y NaN": (X, MISSING, "y contains NaN"),
    "y missing": (X, pd.Series(MISSING).astype("Int64"), "y contains NaN"),
    "y infinite": (X, np.where(Y == 1, np.inf, 0.0), "y contains infinity"),
    "y None in it": (X, np.where(Y == 1, None, "a"), "y|label"),
    "y continuous": (X, Y + 0.5, "continuous"),
    "y one class": (X, Y * 0, r"needs two classes, .* one class alone, \[0\]"),
    "y three classes": (X, CLASSES_3, r"Only binary .* multiclass; .*got \[0, 1, 2\]"),
    "y many words": (X, TWENTY_WORDS, r"got \['0', '1', '10', '11', '12', \.\.\.\]"),
}  # fmt: skip


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("patches", "y", "message"), BAD.values(), ids=BAD)
def test_bad_patches_or_labels_are_refused_and_change_nothing(method, patches, y, message):
    classifier = quick()
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(classifier, method)(patches, y)
    assert vars(classifier) == vars(quick())


@pytest.mark.parametrize(
    ("parameters", "weights", "message"),
    [
        ({}, np.ones(39), r"sample_weight.shape == \(39,\), expected \(40,\)"),
        ({}, np.ones((40, 1)), r"sample_weight.shape == \(40, 1\)"),
        ({}, 1.0, "1 dimension"),
        ({}, -np.ones(40), "Negative values in data passed to sample_weight"),
        ({}, np.full(40, np.nan), "sample_weight contains NaN"),
        ({}, np.full(40, 1e39), "finite in single precision; .* 1e.39 to 1e.39"),
        ({}, np.zeros(40), "not be zero for all"),
        ({}, Y, r"patches of nonzero weight hold one class alone, \[1\]"),
        ({"class_weight": {0: 0.0}}, None, r"of nonzero weight hold one class alone, \[1\]"),
        ({"class_weight": {1: -1.0}}, None, "Negative values in data passed to class_weight"),
        ({"class_weight": {1: np.inf}}, None, "class_weight contains infinity"),
        ({"class_weight": {1: 2.0, 7: 3.0}}, None, r"names \[7\], but the classes are \[0, 1\]"),
        ({"class_weight": {"1": 2.0}}, None, r"names \['1'\]"),
        ({"class_weight": "auto"}, None, "must be a dict .*'balanced' or None, got 'auto'"),
        ({"class_weight": [1.0, 2.0]}, None, r"must be a dict .*got \[1.0, 2.0\]"),
    ],
    ids=str,
)
def test_bad_weights_are_refused_and_change_nothing(parameters, weights, message):
    classifier = quick(**parameters)
    with pytest.raises((TypeError, ValueError), match=message):
        classifier.fit(X, Y, sample_weight=weights)
    assert vars(classifier) == vars(quick(**parameters))


def test_too_few_patches_to_hold_some_out_are_an_error_that_counts_them():
    classifier = quick(validation_fraction=0.1)
    with pytest.raises(ValueError, match=r"\{0: 3, 1: 1\}.*Pass more patches, or validation_frac"):
        classifier.fit(X[:4], [0, 0, 1, 0])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_before_fit_there_is_a_not_fitted_error(method):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        getattr(quick(), method)(*([X, Y] if method == "score" else [X]))


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        (X[:, :16, :16], r"shape \(16, 16, 3\), .* fitted on \(18, 18, 3\); put CenterCropNorm"),
        (X[..., :1], r"shape \(18, 18, 1\)"),
        (X[0], r"X\[np.newaxis\]"),
        (X[:0], "0 sample"),
        (X.astype(np.float32), "from 0 to 255"),
        (NAN, "NaN"),
    ],
    ids=["other size", "other channels", "one patch", "empty", "over 1", "NaN"],
)
def test_other_patches_than_trained_on_are_refused_at_predict(fitted, patches, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict_proba(patches)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "patches", "y", "message"),
    [
        ("fit", X, CLASSES_3, "Only binary"),
        ("fit", X[:, :, :9], Y, r"fitted on \(18, 18, 3\)"),
        ("fit", X, Y + 1, r"the labels \[2\], but the classes are \[0, 1\]; fit a clone"),
        ("partial_fit", X[:, :, :9], Y, r"fitted on \(18, 18, 3\)"),
        ("partial_fit", X, WORDS, "'normal', 'tumor'"),
    ],
    ids=["fit 3 classes", "fit size", "fit labels", "partial_fit size", "partial_fit labels"],
)
def test_bad_input_to_a_warm_start_leaves_everything_learned(method, patches, y, message):
    classifier = quick(warm_start=True).fit(X, Y)
    before, probabilities = learned(classifier), classifier.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        getattr(classifier, method)(patches, y)
    assert learned(classifier).keys() == before.keys()
    assert all(learned(classifier)[name] is value for name, value in before.items())
    assert np.array_equal(classifier.predict_proba(X), probabilities)


@pytest.mark.parametrize("bad", ["X NaN", "y three classes", "y one class", "y shorter", "X empty"])
def test_a_failed_second_fit_leaves_the_first_one(fitted, bad):
    patches, y, message = BAD[bad]
    before, probabilities = dict(vars(fitted)), fitted.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        fitted.fit(patches, y)
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())
    assert np.array_equal(fitted.predict_proba(X), probabilities)


@pytest.mark.parametrize(
    ("classes", "message"),
    [([0], r"one class alone, \[0\]"), ([0, 1, 2], r"3 classes, \[0, 1, 2\]")],
)
def test_partial_fit_needs_two_classes(classes, message):
    with pytest.raises(ValueError, match=f"needs two classes, .*{message}"):
        quick().partial_fit(X, Y, classes=classes)


def test_partial_fit_refuses_other_classes_than_before(fitted):
    with pytest.raises(ValueError, match=r"\[1, 2\] is not the same .*\[0, 1\]; pass those"):
        fitted.partial_fit(X, Y, classes=[1, 2])


def test_partial_fit_cannot_balance_what_it_sees_in_parts():
    with pytest.raises(ValueError, match="'balanced' needs all labels at once"):
        quick(class_weight="balanced").partial_fit(X, Y)
