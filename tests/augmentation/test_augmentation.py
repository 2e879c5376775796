"""D4: every patch in a random one of its 8 views, and only in training."""

from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.seeds import seed_keras
from support.tiny import make_data, quick

from pcam_sklearn.augmentation import AUGMENTATIONS, RandomD4, build_augmentation

RNG = np.random.default_rng(0)


def views(patch):
    """Return the 8 views of a patch by turning and mirroring, as bytes."""
    turned = [np.rot90(patch, k) for k in range(4)]
    return [view.tobytes() for view in turned + [view[:, ::-1] for view in turned]]


def augmented(X, seed=0, training=True):
    return keras.ops.convert_to_numpy(RandomD4(seed=seed)(X, training=training))


@pytest.mark.slow
@settings(deadline=None)  # The first example includes the framework's compilation.
@given(
    n=st.integers(1, 6), side=st.integers(1, 7), channels=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_every_output_is_one_of_the_8_views_of_its_input(n, side, channels, seed):
    X = np.random.default_rng(seed).random((n, side, side, channels), dtype=np.float32)
    for patch, output in zip(X, augmented(X, seed), strict=True):
        assert output.tobytes() in views(patch)


def test_all_8_views_occur_equally_often():
    patch = RNG.random((5, 5, 3), dtype=np.float32)
    assert len(set(views(patch))) == 8
    counts = Counter(output.tobytes() for output in augmented(np.stack([patch] * 1600)))
    assert counts.keys() == set(views(patch))
    assert all(150 < count < 250 for count in counts.values())  # 200, and 3.8 standard deviations


def test_a_patch_is_shown_in_another_view_each_time():
    X, layer = RNG.random((40, 4, 4, 3), dtype=np.float32), RandomD4(seed=0)
    first, second = (keras.ops.convert_to_numpy(layer(X, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("training", [False, None])
def test_it_is_off_at_inference(training):
    X = RNG.random((9, 4, 4, 3), dtype=np.float32)
    assert np.array_equal(augmented(X, training=training), X)


def test_the_same_seed_gives_the_same_views_and_another_one_others():
    X = RNG.random((40, 4, 4, 3), dtype=np.float32)
    assert np.array_equal(augmented(X, seed=1), augmented(X, seed=1))
    assert not np.array_equal(augmented(X, seed=1), augmented(X, seed=2))


def test_it_leaves_keras_global_seed_alone():
    X = RNG.random((4, 4, 4, 3), dtype=np.float32)
    seed_keras(0)
    expected = keras.ops.convert_to_numpy(keras.random.uniform((3,)))
    seed_keras(0)
    augmented(X)
    assert np.array_equal(keras.ops.convert_to_numpy(keras.random.uniform((3,))), expected)


def test_patches_that_are_not_square_are_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"square patches, got 4x5; .*augment=None"):
        RandomD4()(np.zeros((2, 4, 5, 3), np.float32), training=True)


def test_a_classifier_refuses_patches_that_are_not_square_and_takes_them_unaugmented():
    X, y = make_data()
    with pytest.raises(ValueError, match=r"^augment='d4' needs square patches, got 18x9"):
        quick(augment="d4").fit(X[:, :, :9], y)
    assert quick(augment=None).fit(X[:, :, :9], y).n_iter_ == 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_layer_works_in_16_bits_where_a_network_of_ones_own_holds_it(name):
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = build_augmentation(name, seed=0)
        output = layer(np.full((2, 8, 8, 3), 0.5, np.float16), training=True)
    finally:
        keras.config.set_dtype_policy(kept)
    values = keras.ops.convert_to_numpy(output)
    assert ((values >= 0) & (values <= 1)).all()


def test_an_unknown_augmentation_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"one of \['color'.*\], several .* or None; got 'flip'"):
        build_augmentation("flip")


def test_a_layer_is_rebuilt_from_its_config():
    X = RNG.random((40, 4, 4, 3), dtype=np.float32)
    rebuilt = RandomD4.from_config(RandomD4(seed=7).get_config())
    assert np.array_equal(rebuilt(X, training=True), augmented(X, seed=7))


@pytest.mark.slow
def test_a_classifier_augments_what_it_trains_on_and_not_what_it_predicts():
    X, y = make_data()
    symmetric = X[:, :1, :1].repeat(18, axis=1).repeat(18, axis=2)  # all 8 views are the same
    on, off = quick(augment="d4"), quick()
    assert not np.array_equal(on.fit(X, y).predict_proba(X), off.fit(X, y).predict_proba(X))
    assert np.array_equal(on.predict_proba(X), on.predict_proba(X))
    on.fit(symmetric, y), off.fit(symmetric, y)
    np.testing.assert_allclose(on.predict_proba(X), off.predict_proba(X), atol=1e-6)
