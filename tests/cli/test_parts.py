"""What the commands are made of: data, parts, parameters, folders, JSON."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from support.cli_runs import make_kaggle
from support.official_files import make_official

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.cli._data import TO_LEARN, TO_MEASURE, Patches, load_patches
from pcam_sklearn.cli._keras import _worth_showing
from pcam_sklearn.cli._measure import evaluation_facts, point_from_facts
from pcam_sklearn.cli._parameters import (
    build_pipeline,
    check_names,
    from_json_values,
    parse_grid,
    parse_settings,
    to_json_values,
)
from pcam_sklearn.cli._run_folder import new_folder
from pcam_sklearn.cli._search import search_parameters
from pcam_sklearn.cli._shared import to_json
from pcam_sklearn.cli._split import make_folds, split_patches
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.report import evaluate_predictions


def load(data, subset=None, slides=None, default=TO_LEARN):
    return load_patches(str(data), subset, slides, 0, default=default, progress=False)


def patches_of(target, groups):
    target = np.asarray(target)
    ids = np.array([str(i) for i in range(len(target))])
    return Patches("patches", ids, ids, target, groups, None)


def many(n_slides=20, per_slide=10, groups=True):
    slides = np.repeat([f"s{i:02}" for i in range(n_slides)], per_slide)
    target = np.arange(len(slides)) % 2
    return patches_of(target, slides if groups else None)


def make_marks(folder):
    folder.mkdir()
    for name in ("model.joblib", "config.json", "evaluation.json", "split.csv"):
        (folder / name).write_text("old")


def test_a_kaggle_folder_is_told_by_its_names(tmp_path):
    patches = load(make_kaggle(tmp_path / "kaggle"))
    assert patches.name == "kaggle (train)"
    assert patches.X[0].endswith(".tif")


@pytest.mark.parametrize(("default", "part"), [(TO_LEARN, "train"), (TO_MEASURE, "test")])
def test_official_files_are_told_by_their_names(tmp_path, default, part):
    make_official(tmp_path / "pcam", part)
    patches = load(tmp_path / "pcam", default=default)
    assert patches.name == f"pcam ({part})"
    assert isinstance(patches.X, np.memmap)


def test_the_hospital_is_known_from_the_names_of_slides(tmp_path):
    make_official(tmp_path, "train")
    assert set(load(tmp_path).hospital) == {"RUMC", "UMCU"}


def test_synthetic_patches_of_another_seed_share_neither_id_nor_slide(monkeypatch):
    few = partial(make_patches, n_samples=20, n_slides=4)
    monkeypatch.setattr("pcam_sklearn.cli._data.make_patches", few)
    first, other = (
        load_patches("synthetic", None, None, seed, default=TO_LEARN, progress=False)
        for seed in (0, 1)
    )
    assert not set(first.ids) & set(other.ids)
    assert not set(first.groups) & set(other.groups)


def test_a_folder_that_is_not_there_is_an_error_with_all_that_is_allowed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no-such.*Kaggle.*official.*synthetic"):
        load(tmp_path / "no-such")


def test_a_folder_of_other_things_is_an_error_that_names_them(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ValueError, match=r"holds holiday\.jpg; pass"):
        load(tmp_path)


def test_a_folder_of_both_kinds_is_an_error(tmp_path):
    make_official(tmp_path)
    make_kaggle(tmp_path)
    with pytest.raises(ValueError, match="two folders"):
        load(tmp_path)


def test_slides_are_for_a_kaggle_folder(tmp_path):
    with pytest.raises(ValueError, match="--slides"):
        load("synthetic", slides=tmp_path / "slides.csv")


def test_synthetic_patches_have_no_subset():
    with pytest.raises(ValueError, match="--subset"):
        load("synthetic", subset="test")


@given(seed=st.integers(0, 1000), n_slides=st.integers(8, 30), groups=st.booleans())
def test_parts_hold_each_row_once_and_share_no_slide(seed, n_slides, groups):
    patches = many(n_slides, groups=groups)
    split = split_patches(patches, 0.2, 0.2, seed)
    parts = [split.training, split.threshold, split.test]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(patches)))
    if groups:
        slides = [set(patches.groups[rows]) for rows in parts]
        assert not slides[0] & slides[1] | slides[0] & slides[2] | slides[1] & slides[2]


@given(test=st.sampled_from([0.1, 0.2, 0.25, 0.5]), threshold=st.sampled_from([0.1, 0.15, 0.2]))
def test_parts_are_about_as_large_as_asked(test, threshold):
    split = split_patches(many(40), test, threshold, 0)
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
        split_patches(many(2), 0.2, 0.2, 0)


def test_a_fold_of_one_class_is_an_error_that_names_the_option():
    slides = np.repeat(["a", "b", "c", "d"], 6)
    patches = patches_of((slides == "a").astype(int), slides)
    with pytest.raises(ValueError, match="--cv 3"):
        make_folds(patches, 3, 0)


@pytest.mark.parametrize(("n_iter", "n_candidates"), [(None, 3), (2, 2)])
def test_a_search_scores_a_grid_or_what_was_drawn_of_it(n_iter, n_candidates):
    patches = many(6, groups=False)
    search = search_parameters(
        DummyClassifier(),
        {"strategy": ["prior", "uniform", "stratified"]},
        patches,
        make_folds(patches, 3, 0),
        n_iter=n_iter,
        jobs=1,
        random_state=0,
        progress=False,
    )
    assert len(search.cv_results_["params"]) == n_candidates


def test_the_bar_of_a_search_counts_every_fit(capsys):
    patches = many(6, groups=False)
    folds = make_folds(patches, 3, 0)
    options = {"n_iter": None, "jobs": 1, "random_state": 0, "progress": True}
    search_parameters(DummyClassifier(), {"strategy": ["prior"]}, patches, folds, **options)
    assert "3/3" in capsys.readouterr().err


def test_values_are_read_as_python_and_text_needs_no_quotes():
    read = parse_settings(["a=0.3", "b=None", "c={0: 1, 1: 2}", "d=balanced", "e=x=y"])
    assert read == {"a": 0.3, "b": None, "c": {0: 1, 1: 2}, "d": "balanced", "e": "x=y"}


@pytest.mark.parametrize("text", ["dropout", "=0.3", "dropout="])
def test_a_setting_without_name_or_value_is_an_error_with_an_example(text):
    with pytest.raises(ValueError, match=r"cnnclassifier__dropout=.3"):
        parse_settings([text])


@given(
    st.lists(st.one_of(st.none(), st.integers(), st.sampled_from(["d4", "notebook"])), min_size=1)
)
def test_a_grid_is_read_as_it_was_written(values):
    assert parse_grid(["name=" + ",".join(map(str, values))]) == {"name": values}


@given(
    weights=st.one_of(st.none(), st.just("balanced"), st.just({0: 1, 1: 3.5})),
    filters=st.one_of(st.none(), st.tuples(*[st.integers(1, 9)] * 3)),
    dropout=st.one_of(st.none(), st.floats(0, 0.9)),
)
def test_parameters_come_back_from_json_as_they_were(weights, filters, dropout):
    pipeline = make_pcam_pipeline(class_weight=weights, filters=filters, dropout=dropout)
    pipeline.set_params(cnnclassifier__optimizer__learning_rate=1e-3)
    values = json.loads(json.dumps(to_json_values(pipeline)))
    again = build_pipeline({}, {}, from_json_values(values))
    steps = {"steps", *pipeline.named_steps}
    before, after = (
        {k: v for k, v in p.get_params().items() if k not in steps} for p in (pipeline, again)
    )
    assert before == after


def test_only_what_was_given_differs_from_the_package_s_defaults():
    plain, built = make_pcam_pipeline(), build_pipeline({"epochs": 7}, {}, None)
    differing = {k for k, v in built.get_params().items() if repr(plain.get_params()[k]) != repr(v)}
    assert {k for k in differing if "__" in k} == {"cnnclassifier__epochs"}


def test_a_name_of_no_step_is_an_error_that_names_the_steps():
    with pytest.raises(ValueError, match=r"nothing is no parameter.*cnnclassifier__"):
        check_names(make_pcam_pipeline(), ["nothing"])


def test_a_new_folder_is_there_when_the_block_ends(tmp_path):
    with new_folder(tmp_path / "run", overwrite=False) as folder:
        (folder / "file").write_text("new")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_new_folder_is_not_there_after_an_error(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "run", overwrite=False) as folder:
        raise error((folder / "file").write_text("half"))
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_a_run_folder(tmp_path):
    make_marks(tmp_path / "run")
    with new_folder(tmp_path / "run", overwrite=True) as folder:
        (folder / "file").write_text("new")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_error_while_overwriting_leaves_the_old_run(tmp_path):
    make_marks(tmp_path / "run")
    with pytest.raises(ValueError), new_folder(tmp_path / "run", overwrite=True):  # noqa: PT011
        raise ValueError
    assert (tmp_path / "run" / "model.joblib").read_text() == "old"


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").touch()
    with (
        pytest.raises(FileExistsError, match="no run folder"),
        new_folder(tmp_path / "letters", overwrite=True),
    ):
        pass
    assert (tmp_path / "letters" / "dear.txt").is_file()


def test_a_run_folder_in_no_folder_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="create it first"),
        new_folder(tmp_path / "none" / "run", overwrite=False),
    ):
        pass


def test_json_has_null_for_what_is_no_number_and_no_numpy():
    facts = {"a": np.float64("nan"), "b": np.int64(3), "c": [np.inf, np.True_], "d": {"é": None}}
    assert json.loads(to_json(facts)) == {"a": None, "b": 3, "c": [None, True], "d": {"é": None}}


@pytest.mark.parametrize("specificity", [0.5, 1.0], ids=["finite", "infinite"])
def test_an_operating_point_comes_back_from_json_even_if_no_score_reaches_it(specificity):
    y, score = [0, 1, 1, 0], [0.1, 0.4, 0.6, 0.9]
    point = choose_operating_point(y, score, specificity=specificity)
    facts = evaluation_facts(evaluate_predictions(y, score, operating_point=point))
    again = point_from_facts(json.loads(to_json(facts))["operating_point"])
    assert isinstance(again, OperatingPoint)
    assert again == point


def test_of_tensorflow_s_notes_only_warnings_and_errors_are_shown():
    notes = "WARNING: All log messages before absl\nI0000 oneDNN\nE0000 failed call to cuInit\n"
    assert _worth_showing(notes) == "E0000 failed call to cuInit\n"
    assert _worth_showing(notes + "I0000 Could not find cuda drivers on your machine\n") == ""
