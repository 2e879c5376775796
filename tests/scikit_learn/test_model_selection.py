"""Splits by whole slides and whole hospitals, and the warning about slides on both sides."""

import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    TunedThresholdClassifierCV,
    cross_val_score,
)

from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.model_selection import (
    LeaveOneHospitalOut,
    SlideKFold,
    SlideLeakageWarning,
    slide_train_test_split,
    warn_of_shared_slides,
)

SLIDES = np.repeat(["a", "b", "c", "d", "e", "f"], 6)
Y = np.arange(36) % 2


@st.composite
def labels_and_slides(draw, fewest=2):
    """Draw the slide and the label of some patches; a slide may hold a single class."""
    n_slides = draw(st.integers(fewest, 8))
    of_slide = st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any)
    counts = draw(st.lists(of_slide, min_size=n_slides, max_size=n_slides))
    y = np.concatenate([np.repeat([0, 1], count) for count in counts])
    slides = np.repeat([f"slide_{i}" for i in range(n_slides)], [sum(count) for count in counts])
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(y))
    return y[order], slides[order]


def assert_whole_slides(train, test, y, slides):
    """Check that a split has all rows, whole slides, and both classes on the test side."""
    assert sorted([*train, *test]) == list(range(len(y)))
    assert not set(slides[train]) & set(slides[test])
    assert set(y[test]) == {0, 1}


def splits_or_error(splits):
    """Return the splits until there is an error, and the error if there is one."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # A class may be rarer than the folds.
        try:
            for split in splits:
                found.append(split)
        except ValueError as error:
            return found, error
    return found, None


# --- SlideKFold


@pytest.mark.slow
@given(data=labels_and_slides(), n_splits=st.integers(2, 4), seed=st.integers(0, 99))
def test_folds_hold_whole_slides_and_both_classes_or_there_is_an_error(data, n_splits, seed):
    y, slides = data
    folds, error = splits_or_error(SlideKFold(n_splits, random_state=seed).split(y, y, slides))
    for train, test in folds:
        assert_whole_slides(train, test, y, slides)
    if error is None:
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
        assert len(folds) == n_splits


since_1_8 = pytest.mark.skipif(
    [int(part) for part in sklearn.__version__.split(".")[:2]] < [1, 8],
    reason="scikit-learn before 1.8 shuffles slides without their classes",
)


@pytest.mark.parametrize("shuffle", [pytest.param(True, marks=since_1_8), False])
def test_the_folds_are_those_of_scikit_learn(shuffle):
    seed = 3 if shuffle else None
    ours = SlideKFold(3, shuffle=shuffle, random_state=seed).split(Y, Y, SLIDES)
    theirs = StratifiedGroupKFold(3, shuffle=shuffle, random_state=seed).split(Y, Y, SLIDES)
    for a, b in zip(ours, theirs, strict=True):
        assert [rows.tolist() for rows in a] == [rows.tolist() for rows in b]


def test_the_folds_are_shuffled_and_fixed_by_a_random_state():
    def tests_of(**parameters):
        return [test.tolist() for _, test in SlideKFold(3, **parameters).split(Y, Y, SLIDES)]

    assert tests_of(random_state=0) == tests_of(random_state=0)
    assert tests_of(random_state=0) != tests_of(random_state=1)
    assert SlideKFold().shuffle


def test_a_fold_of_one_class_is_an_error_that_names_its_slides():
    y = np.repeat([0, 1], 18)  # Slides a to c hold class 0, d to f class 1.
    folds = SlideKFold(6, shuffle=False).split(y, y, SLIDES)
    with pytest.raises(
        ValueError, match=r"slides of a fold, \w, hold one class .*smaller n_splits than 6"
    ):
        list(folds)


@pytest.mark.parametrize("splitter", [SlideKFold(2), LeaveOneHospitalOut()], ids=str)
def test_without_groups_there_is_an_error_that_says_what_to_pass(splitter):
    with pytest.raises(ValueError, match=r"groups is None; pass the slide of each patch"):
        next(splitter.split(Y, Y))


def test_where_groups_do_not_reach_the_splitter_the_error_names_a_list_of_folds():
    calibrated = CalibratedClassifierCV(DummyClassifier(), cv=SlideKFold(2))
    with pytest.raises(ValueError, match=r"pass cv=list\(SlideKFold\(5\)\.split\(X, y, groups\)\)"):
        calibrated.fit(Y.reshape(-1, 1), Y, groups=SLIDES)


@pytest.mark.parametrize("wrapper", [CalibratedClassifierCV, TunedThresholdClassifierCV])
def test_a_list_of_folds_by_slide_is_taken_where_groups_are_not_passed_on(wrapper):
    folds = list(SlideKFold(2, random_state=0).split(Y, Y, SLIDES))
    X = np.arange(len(Y)).reshape(-1, 1)
    fitted = wrapper(LogisticRegression(), cv=folds).fit(X, Y)
    assert fitted.predict(X).shape == Y.shape


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (np.array([None, *SLIDES[1:]], dtype=object), "no slide for 1 of 36 patches"),
        (np.array([np.nan, *range(35)]), "no slide for 1 of 36 patches"),
        ([np.nan, *SLIDES[1:].tolist()], "no slide for 1 of 36 patches"),
        (np.array(["nan", "", *SLIDES[2:]]), "no slide for 2 of 36 patches"),
        (np.ma.masked_array(SLIDES, mask=np.arange(36) == 1), "1 of 36 slides are masked"),
        (SLIDES[:, np.newaxis], r"1-D; got shape \(36, 1\)"),
    ],
    ids=["None", "NaN", "NaN among text", "NaN as text", "masked", "a column"],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda slides: next(SlideKFold(2).split(Y, Y, slides)),
        lambda slides: next(LeaveOneHospitalOut().split(Y, Y, slides)),
        lambda slides: slide_train_test_split(Y, slides),
        lambda slides: warn_of_shared_slides(slides, SLIDES),
    ],
    ids=["folds", "hospitals", "split", "warning"],
)
def test_slides_that_are_not_known_are_refused(use, missing, message):
    with pytest.raises(ValueError, match=message):
        use(missing)


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        (np.ma.masked_array(Y, mask=np.arange(36) == 1), "1 of 36 labels are masked"),
        (np.where(np.arange(36) == 1, np.nan, Y), "y has no label for 1 of 36 patches"),
        ([None, *Y[1:].tolist()], "y has no label for 1 of 36 patches"),
        (np.eye(2)[Y], "should be a 1d array"),
    ],
    ids=["masked", "NaN", "None", "one-hot"],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda y: next(SlideKFold(2).split(SLIDES, y, SLIDES)),
        lambda y: slide_train_test_split(y, SLIDES),
    ],
    ids=["folds", "split"],
)
def test_labels_that_are_not_known_are_refused(use, unknown, message):
    with pytest.raises(ValueError, match=message):
        use(unknown)


def test_fewer_slides_than_folds_are_an_error_that_names_them():
    with pytest.raises(ValueError, match=r"6 slide\(s\), a, b, c, d, e, \.\.\., and at least 7"):
        next(SlideKFold(7).split(Y, Y, SLIDES))


def test_groups_of_another_length_are_an_error():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(SlideKFold(2).split(Y, Y, SLIDES[1:]))


def test_it_shows_its_parameters():
    assert (
        repr(SlideKFold(3, random_state=1))
        == "SlideKFold(n_splits=3, random_state=1, shuffle=True)"
    )
    assert SlideKFold(3).get_n_splits() == 3


def test_scikit_learn_s_tools_take_it():
    X = Y[:, None].astype(float)
    scores = cross_val_score(DummyClassifier(), X, Y, cv=SlideKFold(3), groups=SLIDES)
    assert len(scores) == 3
    search = GridSearchCV(DummyClassifier(), {"strategy": ["prior"]}, cv=SlideKFold(3))
    assert clone(search).fit(X, Y, groups=SLIDES).n_splits_ == 3


# --- LeaveOneHospitalOut


def camelyon(kind, number):
    return f"camelyon16_train_{kind}_{number:03d}"


# They include the last slides of Nijmegen and the first ones of Utrecht.
RUMC = [camelyon("normal", 1), camelyon("normal", 100), camelyon("tumor", 70)]
UMCU = [camelyon("normal", 101), camelyon("normal", 160), camelyon("tumor", 71)]


def test_each_hospital_is_tested_on_by_itself():
    slides = np.repeat(RUMC + UMCU, 2)
    hospitals = np.repeat(["RUMC", "UMCU"], 6)
    order = np.random.default_rng(0).permutation(12)
    slides, hospitals = slides[order], hospitals[order]
    ours = LeaveOneHospitalOut().split(slides, groups=slides)
    theirs = LeaveOneGroupOut().split(slides, groups=hospitals)
    for a, b in zip(ours, theirs, strict=True):
        assert [rows.tolist() for rows in a] == [rows.tolist() for rows in b]
    assert LeaveOneHospitalOut().get_n_splits(groups=slides) == 2


def test_a_slide_that_tells_no_hospital_is_an_error_that_names_it():
    slides = [*RUMC, "camelyon16_test_001", *UMCU, "mine"]
    with pytest.raises(
        ValueError, match=r"2 of 8 slides tell no hospital .*_test_001, mine.*Leave"
    ):
        next(LeaveOneHospitalOut().split(slides, groups=slides))


def test_one_hospital_alone_cannot_be_left_out():
    with pytest.raises(ValueError, match=r"All slides are from RUMC; pass patches of both hosp"):
        next(LeaveOneHospitalOut().split(RUMC, groups=RUMC))


def test_scikit_learn_s_tools_leave_hospitals_out():
    slides = np.repeat(RUMC + UMCU, 6)
    X = Y[:, None].astype(float)
    scores = cross_val_score(DummyClassifier(), X, Y, cv=LeaveOneHospitalOut(), groups=slides)
    assert len(scores) == 2


# --- slide_train_test_split


@given(
    data=labels_and_slides(),
    test_size=st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.8]),
    seed=st.integers(0, 99),
)
def test_it_splits_wherever_each_class_is_on_two_slides(data, test_size, seed):
    y, slides = data
    can_be_split = all(len(set(slides[y == label])) >= 2 for label in (0, 1))
    try:
        train, test = slide_train_test_split(y, slides, test_size=test_size, random_state=seed)
    except ValueError:
        assert not can_be_split
    else:
        assert can_be_split
        assert_whole_slides(train, test, y, slides)
        assert set(y[train]) == {0, 1}


@pytest.mark.slow
@given(test_size=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_many_equal_slides_give_about_the_share_asked_for(test_size, seed):
    slides, y = np.repeat(np.arange(60), 4), np.arange(240) % 2
    train, test = slide_train_test_split(y, slides, test_size=test_size, random_state=seed)
    assert_whole_slides(train, test, y, slides)
    # Half, a third, a quarter and so on are possible; the nearest of them is taken.
    shares = 1 / np.arange(2, 21)
    shares = np.concatenate([shares, 1 - shares])
    assert abs(len(test) / 240 - test_size) <= abs(shares - test_size).min() + 0.05


def test_the_split_is_fixed_by_its_random_state():
    a, b = (slide_train_test_split(Y, SLIDES, random_state=0) for _ in range(2))
    assert np.array_equal(a[1], b[1])
    others = [slide_train_test_split(Y, SLIDES, random_state=i)[1].tolist() for i in range(1, 9)]
    assert any(other != a[1].tolist() for other in others)


def test_three_quarters_are_what_a_quarter_leaves():
    train, test = slide_train_test_split(Y, SLIDES, test_size=0.25, random_state=0)
    reverse = slide_train_test_split(Y, SLIDES, test_size=0.75, random_state=0)
    assert [rows.tolist() for rows in reverse] == [test.tolist(), train.tolist()]


def test_labels_and_slides_may_be_lists():
    train, test = slide_train_test_split(Y.tolist(), SLIDES.tolist(), random_state=0)
    assert_whole_slides(train, test, Y, SLIDES)


@pytest.mark.parametrize(("test_size", "n_slides"), [(0.5, 3), (0.4, 2), (1 / 3, 2), (0.1, 1)])
def test_the_possible_share_nearest_to_the_one_asked_for_is_taken(test_size, n_slides):
    _, test = slide_train_test_split(Y, SLIDES, test_size=test_size, random_state=0)
    assert len(set(SLIDES[test])) == n_slides


@pytest.mark.parametrize("test_size", [0.0, 1.0, 1.5])
def test_a_share_out_of_range_is_refused(test_size):
    with pytest.raises(ValueError, match=f"test_size == {test_size}, must be"):
        slide_train_test_split(Y, SLIDES, test_size=test_size)


def test_a_class_on_one_slide_is_an_error_that_names_it():
    y = np.where(SLIDES == "b", Y, 0)
    with pytest.raises(ValueError, match=r"class 1 come from 1 slide.*, b, .*patches of more slid"):
        slide_train_test_split(y, SLIDES)


@pytest.mark.parametrize("classes", [1, 3])
def test_another_number_of_classes_than_two_is_refused(classes):
    with pytest.raises(ValueError, match="y must hold two classes, got"):
        slide_train_test_split(np.arange(36) % classes, SLIDES)


def test_one_slide_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"There are 1 slide\(s\), a, and at least 2 are needed"):
        slide_train_test_split([0, 1], ["a", "a"])


# --- the warning


def test_shared_slides_are_warned_of_by_number_and_name():
    with pytest.warns(
        SlideLeakageWarning, match=r"2 slide\(s\) were trained .*: b, c\. .*SlideKFold"
    ):
        warn_of_shared_slides(["a", "b", "c", "b"], np.array(["c", "b", "d"]))


def test_slides_of_two_types_are_compared_as_text():
    numbers, names = np.array([1, 2], dtype=object), np.array(["2", "b"], dtype=object)
    with pytest.warns(SlideLeakageWarning, match=r"1 slide\(s\).*: 2\."):
        warn_of_shared_slides(numbers, names)


@pytest.mark.parametrize(
    ("train", "test"), [(["a"], ["b"]), (None, ["b"]), (["a"], None), (None, None)]
)
def test_without_a_shared_slide_there_is_no_warning(train, test):
    warn_of_shared_slides(train, test)


# --- real slides


@pytest.fixture(scope="module")
def sample(whole_sample):
    return load_kaggle(whole_sample)


def test_real_slides_are_dealt_in_even_shares(sample):
    share = sample.target.mean()
    for train, test in SlideKFold(4, random_state=0).split(
        sample.target, sample.target, sample.groups
    ):
        assert_whole_slides(train, test, sample.target, sample.groups)
        assert len(test) / len(sample.target) == pytest.approx(1 / 4, abs=0.02)
        assert sample.target[test].mean() == pytest.approx(share, abs=0.08)


def test_the_numbers_that_stand_for_the_sample_s_slides_tell_no_hospital(sample):
    with pytest.raises(ValueError, match=r"48 of 48 slides tell no hospital .*: g01, g02"):
        next(LeaveOneHospitalOut().split(sample.target, groups=sample.groups))


def test_a_tenth_of_real_slides_is_held_out_with_both_classes(sample):
    for seed in range(5):
        train, test = slide_train_test_split(
            sample.target, sample.groups, test_size=0.1, random_state=seed
        )
        assert_whole_slides(train, test, sample.target, sample.groups)
        assert len(test) / len(sample.target) == pytest.approx(0.1, abs=0.05)
