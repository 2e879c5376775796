"""Evaluations and model cards."""

import base64
import re
import struct
import warnings
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from support.tiny import PATCH_SIDE, make_data, small_pipeline

from pcam_sklearn import PatchReader
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import auc_cluster_bootstrap, choose_operating_point, cluster_bootstrap
from pcam_sklearn.model_selection import SlideLeakageWarning
from pcam_sklearn.report import (
    ModelCard,
    evaluate,
    evaluate_predictions,
    hash_patches,
    model_card,
)
from pcam_sklearn.report._document import Picture, Section

RNG = np.random.default_rng(0)
SLIDE = np.repeat([f"s{i:02}" for i in range(12)], 20)
PROB = RNG.random(240)
Y = (RNG.random(240) < PROB).astype(int)
Y[SLIDE == "s11"] = 0  # a slide of one class
POINT = choose_operating_point(Y[:100], PROB[:100], specificity=0.9)


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


class Page(HTMLParser):
    """The tags and the texts of a page, as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def measure(groups=SLIDE, **changes):
    return evaluate_predictions(Y, PROB, groups, n_rounds=100, **changes)


@pytest.fixture(scope="module")
def fitted():
    X, y = make_data(side=PATCH_SIDE)
    return small_pipeline().fit(X, y)


@pytest.fixture(scope="module")
def card(fitted):
    plt.switch_backend("Agg")
    X = RNG.integers(0, 256, (240, 48, 48, 3), dtype=np.uint8)
    evaluation = measure(operating_point=POINT, data_sha256="ab" * 32, name="unseen slides")
    facts = {"source": "a folder", "patches": 40}
    return model_card(fitted, evaluation, data=facts, split="by slide", X=X, title="My model")


def test_the_metrics_are_those_of_scikit_learn():
    table = measure().metrics_table()["estimate"]
    assert table["ROC AUC"] == pytest.approx(roc_auc_score(Y, PROB))
    assert table["Brier score"] == pytest.approx(brier_score_loss(Y, PROB))
    assert table["Negative log-likelihood"] == pytest.approx(log_loss(Y, PROB))


def test_the_interval_of_a_loss_stays_above_zero():
    prob = np.where(Y == 1, 0.999, 0.001)
    prob[np.flatnonzero(SLIDE[0] == SLIDE)] = 0.5  # One slide makes nearly all of the loss.
    row = evaluate_predictions(Y, prob, SLIDE, n_rounds=100).metrics_table()
    assert row.loc["Negative log-likelihood", "low"] == 0


def test_certain_mistakes_cost_as_much_as_with_scikit_learn():
    prob = PROB.round()
    table = evaluate_predictions(Y, prob, SLIDE, n_rounds=100).metrics_table()["estimate"]
    assert table["Negative log-likelihood"] == pytest.approx(log_loss(Y, prob))


def test_the_interval_of_the_brier_score_is_that_of_the_metric_itself():
    expected = cluster_bootstrap(brier_score_loss, Y, PROB, SLIDE, n_rounds=100, random_state=0)
    brier = measure().brier
    assert (brier.low, brier.high) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_the_area_resamples_slides():
    assert measure().auc == auc_cluster_bootstrap(Y, PROB, SLIDE, n_rounds=100, random_state=0)


def test_without_slides_other_intervals_than_delongs_are_not_given():
    table = measure(groups=None).metrics_table()
    assert table.loc["ROC AUC"].notna().all()
    assert table.loc["Brier score", ["low", "high"]].isna().all()


def test_the_operating_point_is_measured_on_these_patches():
    result = measure(operating_point=POINT).operating_result
    called = POINT.threshold <= PROB
    assert (result.tp, result.fp) == ((called & (Y == 1)).sum(), (called & (Y == 0)).sum())


def test_labels_may_be_words():
    words = np.array(["normal", "tumour"])[Y]
    named = evaluate_predictions(words, PROB, SLIDE, n_rounds=100, operating_point=POINT)
    pd.testing.assert_frame_equal(
        named.metrics_table(), measure(operating_point=POINT).metrics_table()
    )


def test_slides_of_one_class_stay_in_the_table():
    table = measure().slide_table()
    assert table.loc["s11", "classes"] == "only negative"
    assert len(table) == 12


def test_hospitals_have_a_table_where_they_are_known():
    hospital = np.where(SLIDE < "s06", "RUMC", "UMCU")
    assert measure(hospital=hospital).hospital_table().index.tolist() == ["RUMC", "UMCU"]
    assert measure().hospital_table() is None


def test_colour_groups_have_a_table_where_they_are_known():
    stain = np.where(SLIDE < "s07", "pinker", "bluer")
    table = measure(stain=stain, operating_point=POINT).stain_table()
    for name in ("pinker", "bluer"):
        own = stain == name
        interval = auc_cluster_bootstrap(
            Y[own], PROB[own], SLIDE[own], n_rounds=100, random_state=0
        )
        assert table.loc[name, "auc"] == pytest.approx(roc_auc_score(Y[own], PROB[own]))
        assert table.loc[name, "auc_low"] == pytest.approx(interval.low)
        called = PROB[own & (Y == 1)] >= POINT.threshold
        assert table.loc[name, "sensitivity"] == pytest.approx(called.mean())
    assert table["n_slides"].to_dict() == {"bluer": 5, "pinker": 7}
    assert measure().stain_table() is None


def test_a_slide_of_two_colour_groups_is_an_error_that_names_it():
    stain = np.where(np.arange(240) == 25, "pinker", "bluer")
    with pytest.raises(ValueError, match="slide 's01' has patches of several stains"):
        measure(stain=stain).stain_table()


def test_colour_groups_of_other_patches_are_refused():
    with pytest.raises(ValueError, match="stain has 1 entries and y_true has 240"):
        measure(stain=["pinker"])


def evaluate_coloured(X, groups=tuple(i // 8 for i in range(40)), **settings):
    """Evaluate a classifier on patches of which only the colours matter."""
    y = np.arange(40) % 2
    return evaluate(DummyClassifier().fit(X, y), X, y, groups, n_rounds=100, **settings)


def test_evaluate_finds_the_colour_groups_of_slides():
    X = RNG.integers(0, 200, (40, 8, 8, 3), dtype=np.uint8)
    X[:24, ..., 0] += 50
    X[24:, ..., 2] += 50
    assert evaluate_coloured(X).stain.tolist() == ["pinker"] * 24 + ["bluer"] * 16


def test_evaluate_has_no_colour_groups_where_there_are_none():
    X = RNG.integers(0, 200, (40, 8, 8, 3), dtype=np.uint8)
    assert evaluate_coloured(X, groups=None).stain is None
    assert evaluate_coloured(X, stain=None).stain is None
    assert evaluate_coloured(X[..., :1]).stain is None


def test_features_of_patches_with_a_known_hash_have_no_colour_groups():
    X = RNG.normal(size=(40, 5))
    assert evaluate_coloured(X, data_sha256="ab" * 32).stain is None


def test_slides_of_other_patches_are_refused():
    with pytest.raises(ValueError, match="groups has 239 entries"):
        measure(groups=SLIDE[1:])


@pytest.mark.slow
def test_evaluate_predicts_and_hashes_the_patches(fitted):
    X, y = make_data(side=PATCH_SIDE)
    groups = np.arange(40) // 8
    evaluation = evaluate(fitted, X, y, groups, n_rounds=100)
    np.testing.assert_array_equal(evaluation.y_prob, fitted.predict_proba(X)[:, 1])
    assert evaluation.data_sha256 == hash_patches(X)


@pytest.mark.slow
def test_a_known_hash_is_kept_and_the_patches_are_not_hashed(fitted, monkeypatch):
    X, y = make_data(side=PATCH_SIDE)
    monkeypatch.setattr("pcam_sklearn.report._evaluation.hash_patches", pytest.fail)
    evaluation = evaluate(fitted, X, y, data_sha256="ab" * 32)
    assert evaluation.data_sha256 == "ab" * 32


def slides_warned_of(groups_, groups):
    X, y = make_data(n=8)
    dummy = DummyClassifier().fit(X, y)
    dummy.groups_ = groups_
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluate(dummy, X, y, groups, n_rounds=100)
    return [str(w.message) for w in caught if w.category is SlideLeakageWarning]


def test_evaluating_slides_that_were_trained_on_warns_and_names_them():
    (message,) = slides_warned_of(np.array(["a", "b"]), np.repeat(["b", "c"], 4))
    assert "1 slide(s) were trained on and are tested on: b." in message


@pytest.mark.parametrize("groups_", [None, np.array(["a", "d"])])
def test_evaluating_other_slides_does_not_warn(groups_):
    assert not slides_warned_of(groups_, np.repeat(["b", "c"], 4))


def test_files_and_their_pixels_have_one_hash(sample_folder):
    paths = load_kaggle(sample_folder).paths[:3]
    assert hash_patches(paths) == hash_patches(PatchReader().transform(paths))


def test_one_changed_pixel_or_another_order_changes_the_hash():
    X = RNG.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    changed = X.copy()
    changed[1, 2, 3, 0] ^= 1
    assert len({hash_patches(X), hash_patches(changed), hash_patches(X[::-1])}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "not a medical device",
        "resample slides (100 rounds, seed 0)",
        "two hospitals",
        "not a prevalence",
        "specificity >= 0.9, before this measurement",
        "ab" * 32,
        "a folder",
        "by slide",
        "unseen slides",
        "only negative",
        "cnnclassifier__random_state",
        "scikit-learn",
        "Best epoch",
    ],
)
def test_the_page_says(card, text):
    assert text in " ".join(Page(card.to_html()).texts)


@pytest.mark.slow
def test_the_page_holds_its_pictures_and_fetches_nothing(card):
    page = Page(card.to_html())
    pictures = page.named("img")
    assert len(pictures) == 4
    for attrs in pictures:
        kind, data = attrs["src"].split(",")
        png = base64.b64decode(data, validate=True)
        assert kind == "data:image/png;base64"
        assert png.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", png[16:24])) > 200
        assert attrs["alt"]
    assert not [a for _, attrs in page.tags for a in attrs if a == "href" or a.startswith("on")]
    assert not page.named("script")


@pytest.mark.slow
def test_what_may_be_wider_than_a_phone_scrolls_by_the_keyboard_too(card):
    page = Page(card.to_html())
    frames = [attrs for attrs in page.named("div") if attrs["class"] == "wide"]
    wide = [picture for picture in card.pictures if picture.width > 800]
    assert len(wide) == 2  # the patches and the history
    assert len(frames) == len(page.named("table")) + len(wide)
    assert {attrs["tabindex"] for attrs in frames} == {"0"}
    assert all(attrs["role"] == "group" and attrs["aria-label"] for attrs in frames)


def test_a_page_has_one_main_part_and_headings_without_gaps():
    page = Page(ModelCard("t", [Section("s", ["a"]), Section("s", ["b"])]).to_html())
    assert len(page.named("main")) == 1
    assert [tag for tag, _ in page.tags if re.fullmatch(r"h\d", tag)] == ["h1", "h2", "h2"]


def test_only_tables_of_two_columns_may_break_a_word():
    # Where every word may break, a table of ten columns gets columns of one letter on a phone.
    style = ModelCard("t", []).to_html().split("</style>")[0]
    rules = re.findall(r"([^{}]+)\{[^{}]*overflow-wrap: anywhere", style)
    selectors = [rule.splitlines()[-1].strip() for rule in rules]
    assert selectors == ["tbody th:nth-last-child(2)", "th + td:last-child"]


def test_every_row_of_a_table_is_as_long_as_its_header(card):
    for table in card.to_html().split("<table>")[1:]:
        head, body = table.split("</table>")[0].split("</thead>")
        rows = body.split("</tr>")[:-1]
        assert {row.count("<td>") + row.count("<th ") for row in rows} == {head.count("<th ")}


@given(st.text(min_size=1))
def test_no_text_becomes_markup_on_the_page(text):
    table = pd.DataFrame({text: [text]}, index=[text])
    sections = [Section(text, [text, table, Picture("p", b"", text)])]
    page = Page(ModelCard(text, sections).to_html())
    plain = Page(
        ModelCard("x", [Section("x", ["x", table.map(len), Picture("p", b"", "x")])]).to_html()
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]


@given(st.text())
def test_no_text_breaks_a_table_of_markdown(text):
    table = pd.DataFrame({"a": [text]}, index=[text])
    lines = ModelCard("t", [Section("s", [table])]).to_markdown().rstrip("\n").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 3
    assert lines[-1] == rows[-1]
    assert rows[-1].replace("\\\\", "").replace("\\|", "").count("|") == 3


def test_markdown_is_written_with_its_pictures(card, tmp_path):
    card.write_markdown(tmp_path / "card.md")
    names = sorted(path.name for path in tmp_path.iterdir())
    links = ["card-history.png", "card-most-wrong.png", "card-reliability.png", "card-roc.png"]
    assert names == [*links, "card.md"]
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert all(f"](<{link}>)" in text for link in links)


def test_the_written_page_is_the_page(card, tmp_path):
    card.write_html(tmp_path / "card.html")
    assert (tmp_path / "card.html").read_text(encoding="utf-8") == card.to_html()


def test_a_card_in_a_missing_folder_is_an_error_that_names_it(card, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        card.write_html(tmp_path / "nowhere" / "card.html")


@pytest.mark.slow
def test_what_was_not_stated_is_said_not_to_be(fitted):
    text = model_card(fitted, measure()).to_markdown()
    assert "Training data: Not stated." in text
    assert "Split: Not stated." in text
    assert "None was chosen" in text


@pytest.mark.slow
def test_without_slides_the_card_warns_of_its_intervals(fitted):
    text = model_card(fitted, measure(groups=None)).to_markdown()
    assert "too narrow by far" in text
    assert "The evaluation was given no slides." in text


@pytest.mark.slow
def test_the_card_has_a_table_by_colour_group_and_says_what_the_groups_are(fitted):
    stain = np.where(SLIDE < "s07", "pinker", "bluer")
    text = model_card(fitted, measure(stain=stain)).to_markdown()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert rows[rows.index("stain") + 2 :][:2] == ["bluer", "pinker"]
    assert "A slide is pinker if the mean blue of its patches lies below their mean red" in text


@pytest.mark.slow
def test_the_card_says_that_colours_are_not_known(fitted):
    text = model_card(fitted, measure()).to_markdown()
    assert "The colours of the slides are not known." in text
    assert "pinker" not in text


@pytest.mark.slow
def test_without_slides_the_card_draws_the_roc_curve_alone():
    dummy = DummyClassifier().fit(np.zeros((240, 1)), Y)
    with_slides, without = (model_card(dummy, measure(groups)).pictures for groups in (SLIDE, None))
    assert [picture.name for picture in without] == [picture.name for picture in with_slides]
    assert without[0].name == "roc"
    assert without[0].png != with_slides[0].png


@pytest.mark.slow
@pytest.mark.parametrize("groups", [SLIDE, None], ids=["slides", "no slides"])
def test_a_card_leaves_no_figure_open(fitted, groups):
    before = plt.get_fignums()
    model_card(fitted, measure(groups))
    assert plt.get_fignums() == before


@pytest.mark.slow
def test_a_card_of_another_classifier_is_written_too():
    X = np.zeros((240, 1))
    dummy = DummyClassifier().fit(X, Y)
    assert len(model_card(dummy, measure()).pictures) == 2


@pytest.mark.slow
def test_patches_smaller_than_the_labelled_center_are_shown_whole(fitted):
    X = RNG.integers(0, 256, (240, PATCH_SIDE, PATCH_SIDE, 3), dtype=np.uint8)
    names = [picture.name for picture in model_card(fitted, measure(), X=X).pictures]
    assert "most-wrong" in names


@pytest.fixture(scope="module")
def vote(fitted):
    """Return a vote whose members have names that no file may have."""
    X, y = make_data(side=PATCH_SIDE)
    members = [("../a|b", FrozenEstimator(fitted)), ("dummy", DummyClassifier())]
    return VotingClassifier([*members, ("gone", "drop")], voting="soft").fit(X, y)


@pytest.mark.slow
def test_a_card_of_a_vote_describes_each_network_in_it(vote, fitted):
    recipe = model_card(vote, measure()).sections[-2]
    parameters, training, history = recipe.blocks
    assert parameters.loc["weights", "value"] == "None"
    assert not [name for name in parameters.index if name.endswith(("steps", "estimators"))]
    assert list(training) == ["../a|b"]
    assert training.loc["Epochs trained", "../a|b"] == str(fitted[-1].n_iter_)
    assert history.caption == "Training and validation of ../a|b by epoch"


@pytest.mark.slow
def test_a_picture_of_a_vote_is_not_named_after_a_member(vote, tmp_path):
    (tmp_path / "folder").mkdir()
    model_card(vote, measure()).write_markdown(tmp_path / "folder" / "card.md")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "card-history-1.png").is_file()


@pytest.mark.slow
def test_patches_of_another_evaluation_are_refused(fitted):
    with pytest.raises(ValueError, match="X has 3 entries"):
        model_card(fitted, measure(), X=np.zeros((3, 48, 48, 3), dtype=np.uint8))


def test_a_classifier_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        model_card(DummyClassifier(), measure())
