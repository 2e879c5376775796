"""Split the patches of a run into parts that share no slide, and into folds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli_runs import labelled_patches, patches_of

from pcam_sklearn.cli._training_run import split_patches
from pcam_sklearn.cli._tune import make_folds


@pytest.mark.slow
@settings(deadline=None)
@given(seed=st.integers(0, 1000), n_slides=st.integers(8, 30), groups=st.booleans())
def test_parts_hold_each_row_once_and_share_no_slide(seed, n_slides, groups):
    patches = labelled_patches(n_slides, groups=groups)
    split = split_patches(patches, 0.2, 0.2, seed)
    parts = [split.training, split.threshold, split.test]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(patches)))
    if groups:
        slides = [set(patches.groups[rows]) for rows in parts]
        assert not slides[0] & slides[1] | slides[0] & slides[2] | slides[1] & slides[2]


@settings(deadline=None)
@given(test=st.sampled_from([0.1, 0.2, 0.25, 0.5]), threshold=st.sampled_from([0.1, 0.15, 0.2]))
def test_parts_are_about_as_large_as_asked(test, threshold):
    split = split_patches(labelled_patches(40), test, threshold, 0)
    assert len(split.test) / 400 == pytest.approx(test, abs=0.05)
    assert len(split.threshold) / 400 == pytest.approx(threshold, abs=0.05)


def test_the_part_to_report_on_has_two_slides_of_either_class():
    slides = np.repeat([f"s{i}" for i in range(10)], 6)
    target = (np.arange(60) < 24).astype(int)  # four slides of ten are positive
    patches = patches_of(target, slides)
    held_out = patches.take(split_patches(patches, 0.5, 0.2, 0).test)
    assert held_out.fewest_slides() == 2


def test_too_few_slides_are_an_error_that_names_the_option():
    with pytest.raises(ValueError, match=r"20 patches of 2 slides cannot.*--test-fraction"):
        split_patches(labelled_patches(2), 0.2, 0.2, 0)


def test_a_fold_of_one_class_is_an_error_that_names_the_option():
    slides = np.repeat(["a", "b", "c", "d"], 6)
    patches = patches_of((slides == "a").astype(int), slides)
    with pytest.raises(ValueError, match="--cv 3"):
        make_folds(patches, 3, 0)


def test_parts_by_patch_hold_both_classes_or_name_the_option():
    patches = patches_of((np.arange(200) < 2).astype(int), None)
    with pytest.raises(ValueError, match="--test-fraction"):
        split_patches(patches, 0.2, 0.15, 0)


def test_fractions_that_leave_nothing_to_learn_from_are_an_error():
    with pytest.raises(ValueError, match="leave no patches to learn from"):
        split_patches(labelled_patches(), 0.5, 0.5, 0)


def test_a_fold_by_patch_of_one_class_is_an_error_that_names_the_option():
    patches = patches_of((np.arange(60) < 2).astype(int), None)
    with (
        pytest.warns(UserWarning, match="least populated"),
        pytest.raises(ValueError, match="--cv 3"),
    ):
        make_folds(patches, 3, 0)


def test_a_split_copies_no_pixels():
    class Unread(np.ndarray):
        def __getitem__(self, key):
            raise AssertionError("rows of X were taken")

    patches = replace(labelled_patches(), X=np.arange(200).view(Unread))
    assert len(split_patches(patches, 0.2, 0.15, 0).parts()) == 200
