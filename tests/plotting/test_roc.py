"""The ROC curve with its band and operating point."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.plotting import RocBandDisplay


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    slide = np.repeat(np.arange(20), 15)
    y = (rng.random(300) < 0.4).astype(int)
    return y, y + rng.normal(size=300) + rng.normal(size=20)[slide] / 2, slide


def draw(predictions, **settings):
    return RocBandDisplay.from_predictions(*predictions, n_rounds=100, random_state=0, **settings)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_legend_gives_the_area_of_all_patches_with_its_interval(predictions):
    display = draw(predictions)
    expected = roc_auc_score(*predictions[:2])
    assert display.auc.estimate == pytest.approx(expected)
    assert f"AUC {expected:.3f} (95 % CI" in "".join(labels(display.ax_))


def test_the_band_lies_around_the_curve(predictions):
    band = draw(predictions).band
    assert (band.low <= band.tpr).all()
    assert (band.tpr <= band.high).all()


def test_the_operating_point_is_marked_where_it_falls_on_these_patches(predictions):
    y, score, _ = predictions
    point = choose_operating_point(y[:150], score[:150], specificity=0.9)
    container = draw(predictions, operating_point=point).ax_.containers[0]
    called = score >= point.threshold
    assert container.lines[0].get_xdata()[0] == pytest.approx(called[y == 0].mean())
    assert container.lines[0].get_ydata()[0] == pytest.approx(called[y == 1].mean())


def test_the_legend_says_how_the_operating_point_was_chosen(predictions):
    point = choose_operating_point(*predictions[:2], specificity=0.9)
    ax = draw(predictions, operating_point=point).ax_
    assert any("chosen for specificity >= 0.9" in label for label in labels(ax))


def test_without_an_operating_point_none_is_marked(predictions):
    assert not any("threshold" in label for label in labels(draw(predictions).ax_))


def test_the_same_seed_draws_the_same_band(predictions):
    np.testing.assert_array_equal(draw(predictions).band.low, draw(predictions).band.low)


def test_axes_of_the_caller_are_drawn_on(predictions):
    figure, ax = plt.subplots()
    display = draw(predictions, ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)


def test_from_estimator_agrees_with_from_predictions(predictions):
    y, score, slide = predictions
    X = score[:, np.newaxis]
    model = LogisticRegression().fit(X, y)
    display = RocBandDisplay.from_estimator(model, X, y, slide, n_rounds=100, random_state=0)
    np.testing.assert_allclose(display.band.tpr, draw(predictions).band.tpr)


def test_an_unknown_positive_label_is_refused(predictions):
    y, score, slide = predictions
    model = DummyClassifier().fit(score[:, np.newaxis], y)
    with pytest.raises(ValueError, match="pos_label='tumour' is not a class"):
        RocBandDisplay.from_estimator(model, score[:, np.newaxis], y, slide, pos_label="tumour")


def test_an_estimator_that_is_not_fitted_is_refused(predictions):
    y, score, slide = predictions
    with pytest.raises(NotFittedError):
        RocBandDisplay.from_estimator(DummyClassifier(), score[:, np.newaxis], y, slide)


def test_the_legend_of_a_figure_of_its_own_covers_nothing_that_is_drawn(predictions):
    point = choose_operating_point(*predictions[:2], specificity=0.9)
    display = draw(predictions, operating_point=point, name="held-out slides")
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend().get_window_extent()
    assert not legend.overlaps(display.ax_.get_window_extent())
    assert not legend.overlaps(display.ax_.xaxis.get_label().get_window_extent())


def test_no_text_is_clipped(predictions):
    point = choose_operating_point(*predictions[:2], specificity=0.9)
    display = draw(predictions, operating_point=point, name="held-out slides")
    display.figure_.canvas.draw()
    for text in (display.ax_.get_legend(), display.ax_.title):
        box, figure = text.get_window_extent(), display.figure_.bbox
        assert figure.x0 <= box.x0
        assert figure.y0 <= box.y0
        assert box.x1 <= figure.x1
        assert box.y1 <= figure.y1
