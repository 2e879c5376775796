"""Labels, scores, weights and slides that do not fit are errors, the same in all metrics."""

import numpy as np
import pytest

from pcam_sklearn.metrics import (
    Interval,
    auc_cluster_bootstrap,
    auc_delong,
    choose_operating_point,
    expected_calibration_error,
    sensitivity_at_specificity,
    slide_table,
)

Y, SCORE = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]


@pytest.mark.parametrize(
    "y",
    [[False, False, True, True], ["normal"] * 2 + ["tumour"] * 2, [-1, -1, 1, 1], [0.0, 0, 1, 1]],
)
def test_labels_may_be_booleans_strings_or_numbers(y):
    assert auc_delong(y, SCORE) == auc_delong(Y, SCORE)
    assert auc_delong(np.array(y, dtype=object), SCORE) == auc_delong(Y, SCORE)


def test_the_smaller_label_may_be_the_positive_one():
    y = ["tumor", "tumor", "zone", "zone"]
    assert auc_delong(y, SCORE, pos_label="tumor").estimate == pytest.approx(1 - 0.75)


def test_an_absent_positive_label_is_an_error_that_names_those_there_are():
    with pytest.raises(
        ValueError, match=r"pos_label='tumor' is not in y_true; type one of \[0, 1\]"
    ):
        auc_delong(Y, SCORE, pos_label="tumor")


@pytest.mark.parametrize(
    ("y", "wrong"),
    [
        (["normal", "normal", "tumour", "tumour"], "tumor"),
        (["normal", "normal", "tumour", "tumour"], 1),
        (Y, "1"),
        (Y, "tumour"),
        ([0, 0, 0, 0], "normal"),
        (["normal"] * 4, 1),
    ],
)
@pytest.mark.parametrize(
    "measure",
    [
        lambda y, pos_label: expected_calibration_error(y, SCORE, pos_label=pos_label),
        lambda y, pos_label: slide_table(y, SCORE, list("aabb"), pos_label=pos_label),
    ],
    ids=["calibration", "slides"],
)
def test_a_positive_label_that_can_be_no_label_is_an_error_where_one_class_is_enough(
    y, wrong, measure
):
    with pytest.raises(ValueError, match=r"pos_label=.* is not in y_true; type one of"):
        measure(y, wrong)


def test_the_positive_label_may_be_the_one_that_does_not_occur():
    assert expected_calibration_error(["normal"] * 4, SCORE, pos_label="tumour") > 0


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        (lambda: expected_calibration_error(Y, SCORE, n_bins=2.5), "n_bins"),
        (lambda: auc_delong(Y, SCORE, confidence="0.95"), "confidence"),
        (lambda: auc_cluster_bootstrap(Y, SCORE, list("abcd"), n_rounds=200.0), "n_rounds"),
        (lambda: sensitivity_at_specificity(Y, SCORE, specificity="0.9"), "specificity"),
    ],
    ids=["n_bins", "confidence", "n_rounds", "specificity"],
)
def test_a_number_of_another_type_is_an_error_that_names_it(measure, name):
    with pytest.raises(TypeError, match=f"{name} must be an instance of"):
        measure()


def test_a_threshold_of_nan_is_an_error():
    with pytest.raises(ValueError, match="threshold=nan separates nothing"):
        slide_table(Y, SCORE, list("aabb"), threshold=np.nan)


def test_one_class_is_an_error_that_says_where_such_slides_are_shown():
    with pytest.raises(ValueError, match=r"only the label 1 \(3 patches\).*slide_table"):
        auc_delong([1, 1, 1], [0.1, 0.2, 0.3])


def test_three_labels_are_an_error_that_shows_them():
    with pytest.raises(ValueError, match=r"3 labels \(0, 1, 2\), and 2 are allowed"):
        auc_delong([0, 1, 2], [0.1, 0.2, 0.3])


def test_a_single_word_as_label_needs_the_positive_one_named():
    with pytest.raises(ValueError, match=r"only the label 'normal'.*type pos_label='normal'"):
        slide_table(["normal"] * 2, [0.1, 0.2], ["a", "b"])
    table = slide_table(["normal"] * 2, [0.1, 0.2], ["a", "b"], pos_label="tumour")
    assert list(table["classes"]) == ["only negative"] * 2


@pytest.mark.parametrize("missing", [np.nan, None])
def test_a_missing_label_is_an_error_with_its_place(missing):
    with pytest.raises(ValueError, match=r"y_true has 1 missing values, the first one y_true\[2\]"):
        auc_delong(np.array([0, 1, missing, 1], dtype=object), SCORE)


def test_a_missing_slide_is_an_error_with_its_place():
    with pytest.raises(ValueError, match=r"groups has 1 missing values.*groups\[1\]"):
        slide_table(Y, SCORE, np.array(["a", None, "b", "b"], dtype=object))


def test_a_missing_slide_in_a_list_of_text_is_no_name():
    with pytest.raises(ValueError, match=r"groups has 1 missing values.*groups\[1\]"):
        slide_table(Y, SCORE, ["a", np.nan, "b", "b"])


@pytest.mark.parametrize("name", ["y_true", "y_score", "groups"])
def test_masked_values_are_refused(name):
    values = {"y_true": Y, "y_score": SCORE, "groups": ["a", "a", "b", "b"]}
    values[name] = np.ma.masked_array(values[name], mask=[0, 1, 0, 0])
    with pytest.raises(ValueError, match=f"1 of 4 values of {name} are masked"):
        slide_table(values["y_true"], values["y_score"], values["groups"])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error_with_its_place(broken):
    with pytest.raises(ValueError, match=r"y_score has 1 values that are not finite.*\[3\]"):
        auc_delong(Y, [0.1, 0.2, 0.3, broken])


def test_the_whole_output_of_predict_proba_is_an_error_that_says_what_to_type():
    with pytest.raises(ValueError, match=r"shape \(4, 2\).*predict_proba\(X\)\[:, 1\]"):
        auc_delong(Y, np.column_stack([SCORE, SCORE]))


def test_scores_that_are_words_are_an_error():
    with pytest.raises(ValueError, match=r"y_score has dtype <U1, and must hold real numbers"):
        auc_delong(Y, list("abcd"))


def test_a_column_of_labels_is_an_error_that_says_what_to_type():
    with pytest.raises(ValueError, match=r"y_true has shape \(4, 1\).*y_true\.ravel\(\)"):
        auc_delong(np.array(Y)[:, None], SCORE)


def test_no_patches_are_an_error():
    with pytest.raises(ValueError, match=r"y_true has shape \(0,\)"):
        auc_delong([], [])


@pytest.mark.parametrize("function", [auc_delong, expected_calibration_error])
def test_unequal_lengths_are_an_error_with_both(function):
    with pytest.raises(ValueError, match=r"has 3 entries and y_true has 4"):
        function(Y, SCORE[:3])


def test_groups_of_another_length_are_an_error():
    with pytest.raises(ValueError, match="groups has 3 entries and y_true has 4"):
        slide_table(Y, SCORE, ["a", "b", "c"])


@pytest.mark.parametrize("weight", [[1, 1, 1, -1], [0, 0, 0, 0]])
def test_weights_must_not_be_negative_or_all_zero(weight):
    with pytest.raises(
        ValueError, match=r"sample_weight lies between .* not be negative and not all zero"
    ):
        sensitivity_at_specificity(Y, SCORE, sample_weight=weight)


def test_scores_of_a_network_in_single_precision_keep_their_threshold():
    score = np.array(SCORE, dtype=np.float32)
    point = choose_operating_point(Y, score, sensitivity=1.0)
    assert list(point.predict(score)) == [False, True, True, True]


def test_an_interval_reads_as_in_a_table():
    assert str(Interval(0.91, 0.85, 0.955, 0.9)) == "0.910 (90 % CI 0.850 to 0.955)"
