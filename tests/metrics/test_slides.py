"""Tables by slide and by hospital."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from pcam_sklearn.metrics import auc_cluster_bootstrap, hospital_table, slide_table


def slides(seed=0, n_slides=12, size=30):
    """Slides of hospitals A and B; the last two slides of each hold one class."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(n_slides), size)
    y = rng.random(len(slide)) < 0.5
    y[slide == n_slides - 1] = False
    y[slide == n_slides - 2] = True
    score = (y + rng.normal(size=len(slide))).round(1)
    hospital = np.where(slide % 2 == 0, "A", "B")
    return y, score, np.array([f"s{number:02d}" for number in slide]), hospital


def test_every_slide_has_the_area_that_scikit_learn_gives_it():
    y, score, slide, _ = slides()
    table = slide_table(y, score, slide)
    for name in table.index[:-2]:
        own = slide == name
        assert table.loc[name, "auc"] == pytest.approx(roc_auc_score(y[own], score[own]))


def test_slides_of_one_class_are_shown_as_such():
    y, score, slide, _ = slides()
    table = slide_table(y, score, slide, threshold=0.5)
    assert list(table["classes"]) == ["both"] * 10 + ["only positive", "only negative"]
    assert list(table["auc"].isna()) == [False] * 10 + [True, True]
    assert list(table["specificity"].isna()) == [False] * 10 + [True, False]
    assert list(table["sensitivity"].isna()) == [False] * 11 + [True]


def test_counts_add_up_to_the_patches():
    y, score, slide, _ = slides()
    table = slide_table(y, score, slide)
    assert table["n_patches"].sum() == len(y)
    assert table["n_positive"].sum() == y.sum()
    assert table["mean_score"].mean() == pytest.approx(score.mean())


def test_rates_at_a_threshold_are_those_of_scikit_learn():
    y, score, slide, _ = slides()
    row = slide_table(y, score, slide, threshold=0.5).loc["s03"]
    own = slide == "s03"
    called = score[own] >= 0.5
    assert row["sensitivity"] == pytest.approx(recall_score(y[own], called))
    assert row["specificity"] == pytest.approx(recall_score(y[own], called, pos_label=False))


def test_a_score_at_the_threshold_is_called_positive():
    row = slide_table([0, 1, 1, 0], [0.5, 0.5, 0.2, 0.1], list("aaaa"), threshold=0.5).loc["a"]
    assert (row["sensitivity"], row["specificity"]) == (0.5, 0.5)


def test_a_slide_carries_its_hospital():
    y, score, slide, hospital = slides()
    table = slide_table(y, score, slide, hospital=hospital)
    assert list(table["hospital"]) == ["A", "B"] * 6


def test_a_whole_set_of_one_class_still_has_a_table():
    table = slide_table([0, 0, 0], [0.1, 0.2, 0.3], ["a", "a", "b"])
    assert list(table["classes"]) == ["only negative"] * 2


def test_pandas_series_with_another_index_are_taken_by_position():
    y, score, slide, hospital = slides()
    index = np.arange(len(y))[::-1]
    series = [pd.Series(values, index=index) for values in (y, score, slide, hospital)]
    pd.testing.assert_frame_equal(
        slide_table(*series[:3], hospital=series[3]),
        slide_table(y, score, slide, hospital=hospital),
    )


def test_every_hospital_has_the_interval_of_its_own_patches():
    y, score, slide, hospital = slides()
    table = hospital_table(y, score, hospital, slide, random_state=0)
    own = hospital == "B"
    expected = auc_cluster_bootstrap(y[own], score[own], slide[own], random_state=0)
    row = table.loc["B"]
    assert row["auc"] == pytest.approx(expected.estimate)
    assert (row["auc_low"], row["auc_high"]) == pytest.approx((expected.low, expected.high))
    assert list(table["n_slides"]) == [6, 6]


def test_a_hospital_of_one_tumour_slide_has_an_area_and_no_interval():
    y = [0, 1, 0, 0, 0, 1, 0, 1]
    score = [0.1, 0.9, 0.2, 0.3, 0.1, 0.7, 0.3, 0.2]
    table = hospital_table(
        y, score, list("AAAABBBB"), ["a", "a", "b", "b", "c", "c", "d", "d"], threshold=0.5
    )
    assert table.loc["A", "auc"] == 1
    assert np.isnan(table.loc["A", ["auc_low", "auc_high"]].astype(float)).all()
    assert table.loc["B", "auc_low"] < table.loc["B", "auc_high"]
    assert table.loc["A", "specificity"] == 1


def test_missing_hospitals_are_an_error_that_says_what_to_type():
    with pytest.raises(ValueError, match=r"hospital is None.*hospital=bunch\.hospital"):
        hospital_table([0, 1], [0.1, 0.9], None, ["a", "b"])


def test_a_hospital_of_one_class_is_shown_as_such():
    table = hospital_table([0, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], list("AABB"), list("aabb"))
    assert table.loc["A", "classes"] == "only negative"
    assert np.isnan(table.loc["A", "auc"])


def test_a_slide_of_two_hospitals_is_an_error_that_names_it():
    y, score, slide, hospital = slides()
    hospital[3] = "B"
    with pytest.raises(ValueError, match="slide 's00' has patches of several hospitals"):
        hospital_table(y, score, hospital, slide)


def test_the_columns_of_hospitals_stand_in_the_order_they_are_read():
    y, score, slide, hospital = slides()
    table = hospital_table(y, score, hospital, slide, threshold=0.0, random_state=0)
    assert list(table.columns) == [
        "n_slides",
        "n_patches",
        "n_positive",
        "classes",
        "mean_score",
        "auc",
        "auc_low",
        "auc_high",
        "sensitivity",
        "specificity",
    ]


def test_the_real_slides_have_a_table_and_some_hold_one_class(sample_folder):
    labels = pd.read_csv(sample_folder / "train_labels.csv").merge(
        pd.read_csv(sample_folder / "slides.csv"), on="id"
    )
    score = np.random.default_rng(0).random(len(labels)) + labels["label"]
    table = slide_table(labels["label"], score, labels["slide"])
    assert len(table) == 8
    assert table["n_patches"].sum() == 36
    one_class = table["classes"] != "both"
    assert one_class.any()
    assert (table["auc"].isna() == one_class).all()
