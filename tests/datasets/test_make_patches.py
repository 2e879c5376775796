"""make_patches makes H&E-like patches, labelled by their center, that can be learned."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support.work import lines_run

from pcam_sklearn.datasets import make_patches
from pcam_sklearn.datasets._histology import draw_patch, make_slide


def center(images):
    start = (images.shape[1] - 32) // 2
    return images[:, start : start + 32, start : start + 32]


def drawn(positive, size=96, n=60, seed=0):
    """Return patches of one label with the places of their tumour nuclei."""
    rng = np.random.default_rng(seed)
    pairs = [draw_patch(rng, make_slide(rng, 1.0), positive, size) for _ in range(n)]
    return [np.stack(part) for part in zip(*pairs, strict=True)]


def spread_of_colour(data):
    """Return the spread of the mean colours of the slides, in grey levels."""
    colours = data.images.mean(axis=(1, 2))
    means = [colours[data.groups == slide].mean(axis=0) for slide in np.unique(data.groups)]
    return float(np.std(means, axis=0).mean())


# The returned arrays.


def test_images_target_and_groups_are_arrays_of_the_documented_kind():
    data = make_patches(n_samples=12, n_slides=3, random_state=0)
    assert (data.images.shape, data.images.dtype) == ((12, 96, 96, 3), np.dtype(np.uint8))
    assert (data.target.shape, data.target.dtype) == ((12,), np.dtype(np.int64))
    assert (data.groups.shape, data.groups.dtype.kind) == ((12,), "U")


def test_x_and_y_alone_are_the_images_and_the_target():
    images, target = make_patches(8, 2, 0, return_X_y=True)
    data = make_patches(8, 2, 0)
    np.testing.assert_array_equal(images, data.images)
    np.testing.assert_array_equal(target, data.target)


def test_the_description_says_what_was_made():
    data = make_patches(10, 2, 0, patch_size=48)
    assert "10 patches of 48 x 48 pixels, RGB, of 2 slides;\n4 of them" in data.DESCR


def test_slides_sort_by_name_as_by_number():
    groups = np.unique(make_patches(24, 12, 0, patch_size=32).groups)
    assert groups.tolist() == [f"slide_{number:02}" for number in range(12)]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_slide_has_its_share_of_patches_and_both_classes(data):
    n_slides = data.draw(st.integers(1, 6))
    n_samples = data.draw(st.integers(n_slides, 40))
    fraction = data.draw(st.floats(0.01, 0.99))
    made = make_patches(n_samples, n_slides, 0, patch_size=32, positive_fraction=fraction)
    _, slide, sizes = np.unique(made.groups, return_inverse=True, return_counts=True)
    positives = np.bincount(slide, weights=made.target)
    assert len(sizes) == n_slides
    assert np.ptp(sizes) <= 1
    several = sizes > 1
    assert (positives[several] >= 1).all()
    assert (positives[several] <= sizes[several] - 1).all()
    assert (np.abs(positives - fraction * sizes)[several] <= 1).all()


def test_slides_of_a_single_patch_still_give_both_classes():
    assert make_patches(6, 6, 0, patch_size=32).target.sum() == 3


# Randomness.


def test_the_same_seed_makes_the_same_patches():
    first, second = (make_patches(6, 2, 7) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.groups, second.groups)


@pytest.mark.parametrize("seeds", [(0, 1), (None, None)])
def test_another_seed_or_none_makes_other_patches(seeds):
    first, second = (make_patches(4, 2, seed) for seed in seeds)
    assert (first.images != second.images).any()


def test_a_random_state_instance_is_drawn_from():
    state = np.random.RandomState(3)
    first, second = make_patches(4, 2, state), make_patches(4, 2, state)
    assert (first.images != second.images).any()
    np.testing.assert_array_equal(first.images, make_patches(4, 2, np.random.RandomState(3)).images)


@pytest.mark.parametrize("seed", [0, None])
def test_the_global_random_state_is_not_touched(seed):
    before = np.random.get_state()[1:], random.getstate()  # noqa: NPY002
    make_patches(4, 2, seed)
    after = np.random.get_state()[1:], random.getstate()  # noqa: NPY002
    np.testing.assert_array_equal(before[0][0], after[0][0])
    assert (before[0][1:], before[1]) == (after[0][1:], after[1])


# The label.


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 33, 64, 96, 131])
@pytest.mark.parametrize("positive", [True, False])
def test_a_patch_is_positive_if_and_only_if_tumour_nuclei_lie_in_its_center(size, positive):
    _, tumour = drawn(positive, size, n=150)
    assert (center(tumour).any(axis=(1, 2)) == positive).all()


def test_tumour_in_the_border_alone_does_not_make_a_patch_positive():
    _, tumour = drawn(positive=False)
    assert 0.1 < tumour.any(axis=(1, 2)).mean() < 0.5


def test_tumour_nuclei_are_paler_than_the_nuclei_of_lymphocytes():
    images, tumour = drawn(positive=True)
    light = images.mean(axis=-1)
    darkest = [np.percentile(patch[~there], 5) for patch, there in zip(light, tumour, strict=True)]
    inside = [patch[there].mean() for patch, there in zip(light, tumour, strict=True)]
    assert np.mean(inside) > np.mean(darkest) + 20


# The stain.


def test_slides_differ_in_their_stain():
    alike, apart = (make_patches(160, 8, 0, stain_variation=v, patch_size=48) for v in (0, 1))
    assert spread_of_colour(apart) > 1.5 * spread_of_colour(alike)


def test_more_variation_spreads_the_stains_further():
    one, two = (make_patches(80, 8, 0, stain_variation=v, patch_size=48) for v in (1, 2))
    assert spread_of_colour(two) > 1.3 * spread_of_colour(one)


def test_the_colours_are_those_of_h_and_e():
    red, green, blue = make_patches(60, 10, 0).images.reshape(-1, 3).mean(axis=0)
    assert green < min(red, blue)  # Both stains absorb green most.
    assert 90 < (red + green + blue) / 3 < 200


# The parameters.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "n_samples == 0, must be >= 1"),
        ({"n_slides": 0}, "n_slides == 0, must be >= 1"),
        ({"n_samples": 10, "n_slides": 11}, r"n_slides=11 is more than n_samples=10.* n_slides=5"),
        ({"patch_size": 31}, "patch_size == 31, must be >= 32"),
        ({"positive_fraction": 0.0}, r"positive_fraction == 0.0, must be > 0"),
        ({"positive_fraction": 1}, "positive_fraction == 1, must be < 1"),
        ({"stain_variation": -0.1}, r"stain_variation == -0.1, must be >= 0"),
        ({"stain_variation": 2.5}, r"stain_variation == 2.5, must be <= 2"),
        ({"random_state": -1}, "Seed must be between"),
        ({"random_state": "lucky"}, "'lucky' cannot be used to seed"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_it(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_patches(**parameters)


@pytest.mark.parametrize("name", ["n_samples", "n_slides", "patch_size"])
def test_a_number_of_the_wrong_type_is_an_error_that_names_the_parameter(name):
    with pytest.raises(TypeError, match=f"{name} must be an instance of int"):
        make_patches(**{name: 40.0})


# Use.


def test_a_patch_takes_some_hundred_lines_of_python_and_none_per_pixel():
    assert lines_run(lambda: make_patches(20, 4, 0)) < 20 * 1000


@pytest.mark.slow
def test_the_notebooks_network_learns_them_and_mean_colour_does_not_suffice():
    from pcam_sklearn import make_pcam_pipeline

    data = make_patches(n_samples=1200, n_slides=20, random_state=0)
    test = np.isin(data.groups, np.unique(data.groups)[-5:])

    def auc(model, X):
        model.fit(X[~test], data.target[~test])
        return roc_auc_score(data.target[test], model.predict_proba(X[test])[:, 1])

    narrow = {"filters": (16, 16, 32), "dense_units": 32, "augment": None, "metrics": ()}
    network = make_pcam_pipeline(network="notebook", **narrow, epochs=10, random_state=0)
    with_network = auc(network, data.images)
    with_colour = auc(LogisticRegression(), center(data.images).mean(axis=(1, 2)) / 100)
    assert 0.8 < with_network < 0.98
    assert with_colour < with_network - 0.1
