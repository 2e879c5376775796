"""Test-time augmentation: the mean over 8 views of a patch, and how far they disagree."""

import cv2
import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from support.tiny import PATCH_SIDE, SIDE, learned, make_data, quick, quick_pipeline

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.augmentation import c4_views, d4_views

X, Y = make_data(n=21)


@pytest.fixture(scope="module")
def plain():
    """Return a classifier that predicts each patch as it is."""
    return quick(test_time_augmentation=None).fit(X, Y)


@pytest.fixture(scope="module")
def averaging(plain):
    """Return the same classifier, averaging over views."""
    again = quick(test_time_augmentation="d4").fit(X, Y)
    again.model_.set_weights(plain.model_.get_weights())
    return again


def views(patches):
    """Return the 8 views of each patch, one after the other."""
    mirrored = np.flip(patches, axis=2)
    return [np.rot90(a, k, axes=(1, 2)) for a in (patches, mirrored) for k in range(4)]


def one_by_one(plain, patches):
    """Return the positive class's probability of each view of each patch, (8, n_samples)."""
    return np.array([plain.predict_proba(view)[:, 1] for view in views(patches)])


# --- the views


@given(n=st.integers(0, 4), side=st.integers(1, 5), channels=st.integers(1, 3))
def test_the_views_are_the_8_turned_and_mirrored_ones_the_patch_itself_first(n, side, channels):
    patches = np.random.default_rng(n).random((n, side, side, channels))
    found = d4_views(patches)
    assert found.shape == (8, *patches.shape)
    assert np.array_equal(found[0], patches)
    for i in range(n):
        expected = sorted(view[i].tobytes() for view in views(patches))
        assert sorted(view[i].tobytes() for view in found) == expected


@given(n=st.integers(0, 3), side=st.integers(1, 5))
def test_the_quarter_turns_are_the_views_without_mirrors(n, side):
    patches = np.random.default_rng(n).random((n, side, side, 3))
    assert np.array_equal(c4_views(patches), np.reshape(views(patches)[:4], (4, *patches.shape)))


# --- the mean


def test_without_it_a_patch_is_predicted_as_it_is(plain):
    turned = np.rot90(X, axes=(1, 2))
    assert not np.allclose(plain.predict_proba(turned), plain.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("as_type", [lambda X: X, lambda X: X / 255, lambda X: np.float32(X / 255)])
def test_the_probability_is_the_mean_over_the_views(plain, averaging, as_type):
    patches = as_type(X)
    probabilities = averaging.predict_proba(patches)
    expected = one_by_one(plain, patches).mean(axis=0)
    np.testing.assert_allclose(probabilities[:, 1], expected, atol=1e-6)
    assert probabilities.dtype == np.float64
    assert (probabilities.sum(axis=1) == 1).all()


def test_the_quarter_turns_give_the_mean_over_four(plain):
    classifier = quick(test_time_augmentation="c4").fit(X, Y)
    classifier.model_.set_weights(plain.model_.get_weights())
    expected = one_by_one(plain, X)[:4].mean(axis=0)
    np.testing.assert_allclose(classifier.predict_proba(X)[:, 1], expected, atol=1e-6)
    turned = np.rot90(X, axes=(1, 2))
    np.testing.assert_allclose(classifier.predict_proba(turned)[:, 1], expected, atol=1e-6)
    assert not np.allclose(classifier.predict_proba(X[:, ::-1])[:, 1], expected, atol=1e-3)


def lite(**changes):
    small = {"model__weights": None, "model__stages": 1}
    return quick(network="efficientnet-lite0", **small, **changes)


@pytest.mark.parametrize(("width", "same_as"), [(SIDE, "c4"), (9, None)])
def test_by_itself_the_default_network_takes_the_quarter_turns_of_square_patches(width, same_as):
    patches = X[:, :, :width]
    by_itself = lite(test_time_augmentation="auto").fit(patches, Y)
    expected = lite(test_time_augmentation=same_as).fit(patches, Y)
    found = by_itself.predict_proba(patches)
    np.testing.assert_array_equal(found, expected.predict_proba(patches))
    # The network that was fitted is what counts.
    by_itself.set_params(network=lambda input_shape, weights, stages: None)
    np.testing.assert_array_equal(by_itself.predict_proba(patches), found)


def test_by_itself_another_network_takes_the_patch_as_it_is(plain):
    by_itself = quick(test_time_augmentation="auto").fit(X, Y)
    np.testing.assert_allclose(by_itself.predict_proba(X), plain.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 8, 9, 40, 1000])
def test_it_does_not_depend_on_the_batch_size(averaging, batch_size):
    expected = averaging.predict_proba(X)
    averaging.set_params(predict__batch_size=batch_size)
    np.testing.assert_allclose(averaging.predict_proba(X), expected, atol=1e-6)
    del averaging.predict__batch_size


def test_a_batch_counts_the_views(averaging, monkeypatch):
    sizes = []

    def infer(self, model, patches):
        sizes.append(len(patches))
        return np.zeros((len(patches), 1))

    monkeypatch.setattr(type(current_framework()), "infer", infer)
    averaging.predict_proba(np.repeat(X, 2, axis=0)[:40])
    assert sizes == [256, 64]


@pytest.mark.parametrize("k", range(1, 8))
def test_a_turned_or_mirrored_patch_keeps_its_probability(averaging, k):
    np.testing.assert_allclose(
        averaging.predict_proba(views(X)[k]), averaging.predict_proba(X), atol=1e-6
    )


def test_the_label_is_the_more_probable_one_on_average(averaging):
    expected = averaging.predict_proba(X).argmax(axis=1)
    assert np.array_equal(averaging.predict(X), expected)
    assert averaging.score(X, Y) == (expected == Y).mean()


def test_it_may_be_set_on_a_fitted_classifier(plain, averaging):
    set_later = quick(test_time_augmentation=None).fit(X, Y)
    set_later.set_params(test_time_augmentation="d4")
    assert np.array_equal(set_later.predict_proba(X), averaging.predict_proba(X))
    set_later.set_params(test_time_augmentation=None)
    assert np.array_equal(set_later.predict_proba(X), plain.predict_proba(X))


def test_it_has_no_part_in_training(plain):
    again = quick(test_time_augmentation="d4").fit(X, Y)
    assert np.array_equal(again.model_.get_weights()[0], plain.model_.get_weights()[0])
    assert again.history_ == plain.history_


def test_it_is_a_parameter_that_is_cloned_and_saved(averaging, tmp_path):
    assert clone(averaging).get_params()["test_time_augmentation"] == "d4"
    joblib.dump(averaging, tmp_path / "classifier.joblib")
    back = joblib.load(tmp_path / "classifier.joblib")
    np.testing.assert_allclose(back.predict_proba(X), averaging.predict_proba(X), atol=1e-6)


def test_the_classifier_s_input_is_left_as_it_is(averaging):
    patches = X.copy()
    patches.flags.writeable = False
    averaging.predict_proba(patches), averaging.predict_spread(patches)
    assert np.array_equal(patches, X)


# --- files that are read when they are needed


@pytest.fixture(scope="module")
def from_files(tmp_path_factory):
    """Return a fitted pipeline that leaves files unread, the names of files, and their patches."""
    patches, y = make_data(n=21, side=PATCH_SIDE)
    folder = tmp_path_factory.mktemp("patches")
    paths = np.array([str(folder / f"{i}.png") for i in range(len(patches))])
    for path, patch in zip(paths, patches, strict=True):
        cv2.imwrite(path, patch[..., ::-1])
    pipeline = quick_pipeline(test_time_augmentation="d4", predict__batch_size=16).fit(patches, y)
    return pipeline.set_params(patchreader__in_memory=False), paths, patches


def test_unread_files_have_the_probabilities_and_the_spread_of_their_patches(from_files):
    pipeline, paths, patches = from_files
    np.testing.assert_allclose(
        pipeline.predict_proba(paths), pipeline.predict_proba(patches), atol=1e-6
    )
    spreads = [pipeline[-1].predict_spread(pipeline[:-1].transform(a)) for a in (paths, patches)]
    np.testing.assert_allclose(*spreads, atol=1e-6)
    assert (spreads[0] > 0).all()


def test_a_memory_map_has_the_probabilities_of_its_patches(averaging, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.array_equal(averaging.predict_proba(mapped), averaging.predict_proba(X))


# --- the spread


@pytest.mark.parametrize("as_type", [lambda X: X, lambda X: X / 255])
def test_the_spread_is_the_standard_deviation_over_the_views(plain, averaging, as_type):
    patches = as_type(X)
    expected = one_by_one(plain, patches).std(axis=0)
    for classifier in (plain, averaging):
        np.testing.assert_allclose(classifier.predict_spread(patches), expected, atol=1e-6)
    assert expected.min() > 1e-3


def test_views_that_are_the_same_have_no_spread(plain):
    patches = np.broadcast_to(X[:, :1, :1], X.shape)
    np.testing.assert_allclose(plain.predict_spread(patches), 0, atol=1e-7)


@pytest.mark.slow
def test_the_network_of_the_symmetries_has_no_spread_whatever_it_has_learned():
    patches, y = make_data(n=16, side=32)
    classifier = quick(network="d4", filters=(2, 3), optimizer="adam", epochs=2)
    classifier.fit(patches, y)
    assert (classifier.predict_spread(patches) < 1e-5).all()
    assert np.ptp(classifier.predict_proba(patches)[:, 1]) > 1e-3


# --- what is refused


@pytest.mark.parametrize("method", ["predict_proba", "predict", "predict_spread"])
def test_patches_that_are_not_square_are_refused(method):
    oblong = X[:, :, :9]
    classifier = quick(test_time_augmentation=None).fit(oblong, Y)
    assert classifier.predict_proba(oblong).shape == (21, 2)
    classifier.set_params(test_time_augmentation="d4")
    with pytest.raises(ValueError, match=rf"square patches, got {SIDE}x9; .*augmentation=None"):
        getattr(classifier, method)(oblong)


@pytest.mark.parametrize("views", ["d8", "flip", 8, True])
def test_other_views_are_refused(plain, views):
    classifier = clone(plain).set_params(test_time_augmentation=views)
    with pytest.raises(ValueError, match=f"must be 'auto', 'c4', 'd4' or None; got {views!r}"):
        classifier.fit(X, Y).predict(X)


def test_before_fit_there_is_a_not_fitted_error():
    classifier = quick(test_time_augmentation="d4")
    with pytest.raises(NotFittedError):
        classifier.predict_spread(X)
    assert not learned(classifier)
