"""The stain of other slides: what a layer measures of slides, and what it does to patches."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import make_data, quick

from pcam_sklearn import PatchReader
from pcam_sklearn._training._data import TrainingSet, check_training_set
from pcam_sklearn.augmentation import RandomRestain
from pcam_sklearn.datasets import load_kaggle

SAMPLE = Path(__file__).parents[1] / "data"

PALE = [0.3, 0.5, 0.2, 0.2, 0.3, 0.1]
DARK = [0.6, 0.9, 0.4, 0.3, 0.3, 0.15]


def patches(n, side=6, seed=0):
    """Return patches whose colours stay clear of white and black when they change."""
    rng = np.random.default_rng(seed)
    return np.exp(-rng.uniform(0.4, 0.8, (n, side, side, 3))).astype(np.float32)


def augmented(layer, X, training=True):
    return keras.ops.convert_to_numpy(layer(X, training=training))


def density(X):
    return -np.log(np.maximum(X.astype(float), 1 / 255))


# --- what it measures


@pytest.mark.parametrize("as_bytes", [True, False])
def test_it_measures_mean_and_deviation_of_the_density_on_each_slide(as_bytes):
    X = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    slides = np.array(["b", "a", "b", "a", "a", "b"])
    layer = RandomRestain()
    layer.adapt(X if as_bytes else X / np.float32(255), slides)
    for slide, found in zip("ab", layer.statistics, strict=True):
        pixels = density(X[slides == slide] / 255).reshape(-1, 3)
        expected = [*pixels.mean(axis=0), *pixels.std(axis=0)]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_slide_in_one_colour_gives_finite_colours():
    X = np.concatenate([np.full((2, 4, 4, 3), 255, np.uint8), np.zeros((2, 4, 4, 3), np.uint8)])
    layer = RandomRestain(share=1.0, seed=0)
    layer.adapt(X, [0, 0, 1, 1])
    output = augmented(layer, X / np.float32(255))
    assert ((output >= 0) & (output <= 1)).all()


@pytest.mark.parametrize(
    ("X", "slides", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 1], "channels|, 3\\), got \\(2, 4, 4, 1"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 1, 1], "inconsistent numbers of samples: .2, 3"),
        (np.full((2, 4, 4, 3), 255.0), [0, 1], "must already lie in"),
    ],
)
def test_patches_of_another_kind_are_not_measured(X, slides, message):
    with pytest.raises(ValueError, match=message):
        RandomRestain().adapt(X, slides)


# --- what it does


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_a_patch_changes_by_the_difference_of_two_slides(seed):
    X = patches(8, seed=seed)
    output = augmented(RandomRestain(1.0, [PALE, DARK], seed), X)
    pale, dark = np.array(PALE), np.array(DARK)
    possible = []
    for before, after in ((pale, dark), (dark, pale), (pale, pale)):
        scale = after[3:] / before[3:]
        possible.append(np.exp(-((density(X) - before[:3]) * scale + after[:3])))
    gaps = [abs(np.clip(p, 0, 1) - output).max(axis=(1, 2, 3)) for p in possible]
    assert (np.min(gaps, axis=0) < 1e-5).all()


def test_all_pairs_of_slides_occur_equally_often():
    X = np.repeat(patches(1, side=2), 1600, axis=0)
    outputs = augmented(RandomRestain(1.0, [PALE, DARK], seed=0), X).round(4)
    counts = sorted(np.unique(outputs.reshape(len(X), -1), axis=0, return_counts=True)[1])
    # Two pairs of equal slides change nothing. 4 standard deviations.
    assert all(abs(n - m) < 80 for n, m in zip(counts, (400, 400, 800), strict=True))


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (0.5, 400), (1.0, 800)])
def test_only_a_share_of_the_patches_changes(share, changed):
    X = np.repeat(patches(1, side=2), 1600, axis=0)
    output = augmented(RandomRestain(share, [PALE, DARK], seed=0), X)
    n_changed = (abs(output - X).max(axis=(1, 2, 3)) > 1e-4).sum()
    assert abs(n_changed - changed) < 80  # Half of the pairs are pairs of equal slides.


def test_a_spread_changes_by_no_more_than_a_factor_of_two():
    wide = [*PALE[:3], *(10 * v for v in PALE[3:])]
    X = patches(200)
    output = augmented(RandomRestain(1.0, [PALE, wide], seed=0), X)
    slopes = density(output).std(axis=(1, 2)) / density(X).std(axis=(1, 2))
    np.testing.assert_allclose(slopes.min(), 0.5, atol=0.01)
    np.testing.assert_allclose(slopes.max(), 2.0, atol=0.01)


@pytest.mark.parametrize("statistics", [None, [PALE]])
def test_with_fewer_than_two_slides_patches_stay_as_they_are(statistics):
    X = patches(5)
    assert np.array_equal(augmented(RandomRestain(1.0, statistics, seed=0), X), X)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_patches_that_are_not_chosen_keep_their_bits(share):
    X = np.random.default_rng(0).random((40, 4, 4, 3), dtype=np.float32)
    X[:, 0] = 0  # Black, whose density is cut off.
    same = (augmented(RandomRestain(share, [PALE, DARK], seed=0), X) == X).all(axis=(1, 2, 3))
    assert same.sum() >= 40 * (1 - share) - 10


@pytest.mark.parametrize(
    "statistics",
    [PALE, [PALE[:5]], [[*PALE[:5], 0.0]], [[np.nan, *PALE[1:]]], [[*PALE[:5], np.inf]]],
)
def test_other_statistics_are_refused(statistics):
    with pytest.raises(ValueError, match=re.escape("(n_slides, 6); got [")):
        RandomRestain(statistics=statistics)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=f"share == {share}, must be"):
        RandomRestain(share)


# --- in a training


def training_set(n=40, slides=4):
    X, y = make_data(n)
    return check_training_set(X, y, groups=np.arange(n) % slides)


def test_a_training_measures_the_slides_that_it_trains_on_and_no_others():
    data = training_set()
    training = np.flatnonzero(data.groups < 3)
    found, slides = data.few_of_each_slide(training)
    assert sorted(slides) == sorted(data.groups[training])
    for patch, slide in zip(found, slides, strict=True):
        own = data.X[data.groups == slide]
        assert any(np.array_equal(patch, other) for other in own)


def test_of_large_slides_it_reads_a_few_patches(monkeypatch):
    monkeypatch.setattr("pcam_sklearn._training._data._FEW_OF_A_SLIDE", 4)
    slides = training_set().few_of_each_slide(np.arange(40))[1]
    assert np.bincount(slides).tolist() == [4, 4, 4, 4]


def test_of_many_slides_it_reads_some(monkeypatch):
    monkeypatch.setattr("pcam_sklearn._training._data._FEW_IN_ALL", 8)
    slides = training_set(slides=20).few_of_each_slide(np.arange(40))[1]
    assert slides.tolist() == list(range(0, 20, 3))


@pytest.mark.parametrize("kind", ["files left unread", "a memory map"])
def test_of_patches_outside_memory_it_reads_the_same(kind, tmp_path):
    bunch = load_kaggle(SAMPLE)
    patches = PatchReader().fit_transform(bunch.paths)
    if kind == "a memory map":
        np.save(tmp_path / "X.npy", patches)
        outside = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        outside = PatchReader(in_memory=False).fit_transform(bunch.paths)
    rows, slides = np.arange(len(patches)), np.arange(len(patches)) % 5
    layers = []
    for X in (patches, outside):
        layers.append(RandomRestain())
        data = TrainingSet(X, slides % 2, None, np.arange(2), slides)
        layers[-1].adapt(*data.few_of_each_slide(rows))
    assert layers[0].statistics == layers[1].statistics


def test_of_large_patches_it_reads_no_more_than_memory_may_hold(monkeypatch):
    monkeypatch.setattr("pcam_sklearn._reading._batches._MEASURE_AT_ONCE", 8 * 18 * 18 * 3)
    assert len(training_set().few_of_each_slide(np.arange(40))[1]) == 8


@pytest.mark.slow
def test_a_classifier_learns_the_stain_of_its_slides():
    X, y = make_data()
    X[::4] = X[::4] // 2 + 60
    slides = np.where(np.arange(len(X)) % 4 == 0, "dark", "pale")
    plain, varied = (quick(augment=augment) for augment in (None, "restain"))
    fitted = varied.fit(X, y, groups=slides)
    (layer,) = fitted.trainer_.augmentation.layers
    assert len(layer.statistics) == 2
    assert not np.array_equal(
        fitted.predict_proba(X), plain.fit(X, y, groups=slides).predict_proba(X)
    )


@pytest.mark.slow
def test_without_slides_a_classifier_trains_on_patches_as_they_are():
    X, y = make_data()
    plain, varied = (quick(augment=augment) for augment in (None, "restain"))
    assert np.array_equal(plain.fit(X, y).predict_proba(X), varied.fit(X, y).predict_proba(X))
