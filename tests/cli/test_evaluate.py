"""Measure models with evaluate."""

import json
import shutil

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.cli_runs import (
    QUICK,
    as_json,
    cli,
    make_run,
    read_split,
)

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.cli._manifest import write_manifest
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.persistence import load_model, save_model
from pcam_sklearn.report import stain_of_slides

pytestmark = pytest.mark.slow  # A model is trained.


def test_evaluate_measures_what_scikit_learn_does(run, others):
    data = load_kaggle(others)
    scores = load_model(run / "model.pcam").predict_proba(data.paths)[:, 1]
    facts = as_json("evaluate", run, others, *QUICK)
    assert facts["metrics"]["roc_auc"]["estimate"] == pytest.approx(
        roc_auc_score(data.target, scores), abs=1e-12
    )
    assert facts["slides"] == len(set(data.groups))


def test_evaluate_uses_the_frozen_threshold_of_the_run(run, others):
    frozen = json.loads((run / "evaluation.json").read_text())["operating_point"]
    assert as_json("evaluate", run, others, *QUICK)["operating_point"] == frozen


def test_the_model_in_a_run_folder_counts_as_the_folder(run, others):
    facts = as_json("evaluate", run / "model.pcam", others, *QUICK)
    assert facts["operating_point"] is not None


def test_a_joblib_file_has_no_operating_point(model, others, tmp_path):
    joblib.dump(load_model(model), tmp_path / "some.joblib")
    facts = as_json("evaluate", tmp_path / "some.joblib", others, *QUICK)
    assert facts["operating_point"] is None
    assert "sensitivity" not in facts["metrics"]


def test_a_model_alone_knows_the_slides_that_it_was_fitted_on(model, kaggle):
    assert "slides by their names, took part" in cli("evaluate", model, kaggle, *QUICK).stderr


def test_evaluate_prints_a_table_for_people(run, others):
    said = cli("evaluate", run, others, *QUICK, "--by-slide").stdout
    assert "ROC AUC" in said
    assert "The intervals resample slides, 100 rounds." in said
    assert "seed_1_slide_00" in said


def test_evaluate_measures_slides_by_colour(run, sample_folder):
    data = load_kaggle(sample_folder)
    stain = stain_of_slides(data.paths, data.groups)
    scores = load_model(run / "model.pcam").predict_proba(data.paths)[:, 1]
    facts = as_json("evaluate", run, sample_folder, *QUICK)
    assert [row["stain"] for row in facts["by_stain"]] == ["bluer", "pinker"]
    for row in facts["by_stain"]:
        own = stain == row["stain"]
        assert row["n_patches"] == own.sum()
        assert row["auc"] == pytest.approx(roc_auc_score(data.target[own], scores[own]))
    assert facts["by_hospital"] is None


def test_evaluate_prints_a_table_by_colour_and_what_it_means(run, others):
    said = cli("evaluate", run, others, *QUICK).stdout
    assert "pinker if the mean blue of its patches lies below their mean red" in said


def test_no_warning_is_given_for_slides_never_seen(run, others):
    said = cli("evaluate", run, others, *QUICK)
    assert said.stderr == ""


def test_evaluate_warns_of_patches_that_took_part_in_the_run(run, kaggle):
    split = read_split(run)
    said = cli("evaluate", run, kaggle, *QUICK)
    used = (split["part"] != "test").sum()
    assert f"{used} of the {len(split)} patches evaluated" in " ".join(said.stderr.split())


def test_unseen_leaves_the_patches_that_were_held_out(run, kaggle):
    recorded = json.loads((run / "evaluation.json").read_text())
    facts = as_json("evaluate", run, kaggle, *QUICK, "--unseen")
    assert facts["patches"] == recorded["patches"]
    assert facts["metrics"] == recorded["metrics"]


def test_patches_of_a_run_are_known_after_their_folder_was_renamed(kaggle, tmp_path):
    data, labels = load_kaggle(kaggle), load_kaggle(kaggle).target
    for path, label in zip(data.paths, labels, strict=True):
        folder = tmp_path / "mine" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.tif").symlink_to(path)
    run = make_run(tmp_path / "mine", tmp_path / "run")
    (tmp_path / "mine").rename(tmp_path / "yours")
    facts = as_json("evaluate", run, tmp_path / "yours", *QUICK, "--unseen")
    assert facts["patches"] == (read_split(run)["part"] == "test").sum()


def test_other_patches_of_the_same_names_took_no_part_in_the_run(kaggle, others, tmp_path):
    for source, folder in ((kaggle, tmp_path / "a" / "mine"), (others, tmp_path / "b" / "mine")):
        data = load_kaggle(source)
        for row, (path, label) in enumerate(zip(data.paths, data.target, strict=True)):
            (folder / str(label)).mkdir(parents=True, exist_ok=True)
            (folder / str(label) / f"{row}.tif").symlink_to(path)
    run = make_run(tmp_path / "a" / "mine", tmp_path / "run")
    assert "took part" not in cli("evaluate", run, tmp_path / "b" / "mine", *QUICK).stderr


def test_unseen_of_patches_that_were_all_seen_is_an_error(run, kaggle, tmp_path):
    split = read_split(run).query("part == 'training'")
    labels = pd.read_csv(kaggle / "train_labels.csv")
    (tmp_path / "train").symlink_to(kaggle / "train")
    labels[labels["id"].isin(split["id"])].to_csv(tmp_path / "train_labels.csv", index=False)
    split[["id", "slide"]].to_csv(tmp_path / "slides.csv", index=False)
    said = cli("evaluate", run, tmp_path, *QUICK, "--unseen", code=2)
    assert "leave out --unseen" in said.stderr


@pytest.mark.parametrize("kind", ["pcam", "onnx"])
def test_a_file_taken_out_of_its_run_knows_the_slides_of_its_threshold(run, kaggle, tmp_path, kind):
    file = tmp_path / f"model.{kind}"
    if kind == "pcam":
        shutil.copy(run / "model.pcam", file)
    else:
        pytest.importorskip("tf2onnx", reason="needs the extra onnx")
        cli("export", run, "--output", file)
    of_run = as_json("evaluate", run, kaggle, *QUICK, "--unseen")
    assert as_json("evaluate", file, kaggle, *QUICK, "--unseen")["slides"] == of_run["slides"]


def test_slides_of_a_threshold_that_are_no_names_are_refused(model, kaggle, tmp_path):
    save_model(load_model(model), tmp_path / "m.pcam", metadata={"threshold_slides": "seed_0"})
    said = cli("evaluate", tmp_path / "m.pcam", kaggle, *QUICK, "--unseen", code=2)
    assert "must say a list of names" in " ".join(said.stderr.split())


def without_slides(kaggle, folder):
    """Return the training patches in folders by class, which name no slides."""
    for label in ("0", "1"):
        (folder / label).mkdir(parents=True)
    for row in pd.read_csv(kaggle / "train_labels.csv").itertuples():
        shutil.copy(kaggle / "train" / f"{row.id}.tif", folder / str(row.label))
    return folder


def test_unseen_is_an_error_where_nothing_tells_what_was_seen(model, kaggle, tmp_path):
    data = without_slides(kaggle, tmp_path / "data")
    said = cli("evaluate", model, data, *QUICK, "--unseen", code=2)
    assert "--unseen cannot be met" in said.stderr


def test_where_slides_are_not_known_neither_command_takes_them_for_unseen(run, kaggle, tmp_path):
    data = without_slides(kaggle, tmp_path / "data")
    said = cli("evaluate", run, data, *QUICK, "--unseen")
    assert "and others of the same slides may stay" in " ".join(said.stderr.split())
    cli("card", run, data, "--unseen", "--rounds", 100, "--output", tmp_path / "c.md")
    assert "Whether their slides did is not known." in (tmp_path / "c.md").read_text()


def test_slides_behind_the_first_weights_of_a_run_took_part_in_it(kaggle, tmp_path):
    data = load_kaggle(kaggle)
    lite = {"network": "efficientnet-lite0", "model__stages": 1, "model__enlarge": 1}
    first = make_pcam_pipeline(32, **lite, model__weights=None, epochs=1, augment=None)
    first.fit(data.paths, data.target, cnnclassifier__groups=data.groups)
    save_model(first, tmp_path / "first.pcam")
    lite["model__weights"] = tmp_path / "first.pcam"
    settings = [f"--set=cnnclassifier__{name}={value}" for name, value in lite.items()]
    small = ["--crop-size", 32, "--epochs", 1, "--augment", "none", "--rounds", 100]
    run = tmp_path / "run"
    cli("train", kaggle, "--output", run, *small, *settings)
    said = cli("evaluate", run, kaggle, *QUICK, "--unseen", code=2)
    assert "patches, or their slides, took part in the run" in " ".join(said.stderr.split())


@pytest.mark.parametrize(("labels", "warned"), [(["cancer", "normal"], True), (["0", "1"], False)])
def test_the_word_that_is_taken_for_tumour_is_told(labels, warned, kaggle, tmp_path):
    data = load_kaggle(kaggle)
    pipeline = make_pcam_pipeline(16, network="residual", filters=(2, 2), epochs=1, augment=None)
    pipeline.fit(data.paths, np.array(labels)[data.target])
    save_model(pipeline, tmp_path / "m.pcam")
    said = cli("evaluate", tmp_path / "m.pcam", kaggle, *QUICK)
    told = "the probability of 'normal' is taken for that of tumour"
    assert (told in " ".join(said.stderr.split())) is warned


def test_patches_of_one_slide_get_intervals_over_patches_and_a_warning(model, others, tmp_path):
    labels = pd.read_csv(others / "train_labels.csv")
    (tmp_path / "train").symlink_to(others / "train")
    labels.to_csv(tmp_path / "train_labels.csv", index=False)
    labels.assign(slide="one")[["id", "slide"]].to_csv(tmp_path / "slides.csv", index=False)
    said = cli("evaluate", model, tmp_path, *QUICK, "--json")
    assert json.loads(said.stdout)["intervals_over"] == "patches"
    assert "too narrow" in said.stderr


def test_evaluate_of_patches_without_labels_says_what_to_pass(run, kaggle):
    said = cli("evaluate", run, kaggle, "--subset", "test", code=2)
    assert "--subset train" in said.stderr


def test_a_run_that_recorded_no_pixels_knows_its_patches_by_their_ids(run, kaggle, tmp_path):
    old = shutil.copytree(run, tmp_path / "old")
    read_split(old).drop(columns="sha256").to_csv(old / "split.csv", index=False)
    write_manifest(old)
    expected = as_json("evaluate", run, kaggle, *QUICK, "--unseen")
    assert as_json("evaluate", old, kaggle, *QUICK, "--unseen")["patches"] == expected["patches"]
