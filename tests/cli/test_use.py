"""The commands that use a trained model: evaluate, predict and card."""

import json

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.cli_runs import cli, contents, make_kaggle, make_run, read_numbers, read_split

from pcam_sklearn.datasets import load_kaggle

QUICK = ("--rounds", 100, "-q")


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    """Return a small folder in Kaggle's layout."""
    return make_kaggle(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="module")
def run(kaggle, tmp_path_factory):
    """Return the folder of a tiny run on `kaggle`."""
    return make_run(kaggle, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Return patches of slides that `run` has never seen."""
    return make_kaggle(tmp_path_factory.mktemp("others"), seed=1)


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
    """Return the model of `run`, out of its folder."""
    path = tmp_path_factory.mktemp("model") / "some.joblib"
    joblib.dump(joblib.load(run / "model.joblib"), path)
    return path


def as_json(*arguments):
    return json.loads(cli(*arguments, "--json").stdout)


def test_evaluate_measures_what_scikit_learn_does(run, others):
    data = load_kaggle(others)
    scores = joblib.load(run / "model.joblib").predict_proba(data.paths)[:, 1]
    facts = as_json("evaluate", run, others, *QUICK)
    assert facts["metrics"]["roc_auc"]["estimate"] == pytest.approx(
        roc_auc_score(data.target, scores), abs=1e-12
    )
    assert facts["slides"] == len(set(data.groups))


def test_evaluate_uses_the_frozen_threshold_of_the_run(run, others):
    frozen = json.loads((run / "evaluation.json").read_text())["operating_point"]
    assert as_json("evaluate", run, others, *QUICK)["operating_point"] == frozen


def test_the_model_in_a_run_folder_counts_as_the_folder(run, others):
    facts = as_json("evaluate", run / "model.joblib", others, *QUICK)
    assert facts["operating_point"] is not None


def test_a_model_alone_has_no_operating_point(model, others):
    facts = as_json("evaluate", model, others, *QUICK)
    assert facts["operating_point"] is None
    assert "sensitivity" not in facts["metrics"]


def test_a_model_alone_knows_the_slides_that_it_was_fitted_on(model, kaggle):
    assert "slides by their names, took part" in cli("evaluate", model, kaggle, *QUICK).stderr


def test_evaluate_prints_a_table_for_people(run, others):
    said = cli("evaluate", run, others, *QUICK, "--by-slide").stdout
    assert "ROC AUC" in said
    assert "The intervals resample slides, 100 rounds." in said
    assert "seed_1_slide_00" in said


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


def test_unseen_of_patches_that_were_all_seen_is_an_error(run, kaggle, tmp_path):
    split = read_split(run).query("part == 'training'")
    labels = pd.read_csv(kaggle / "train_labels.csv")
    (tmp_path / "train").symlink_to(kaggle / "train")
    labels[labels["id"].isin(split["id"])].to_csv(tmp_path / "train_labels.csv", index=False)
    split[["id", "slide"]].to_csv(tmp_path / "slides.csv", index=False)
    said = cli("evaluate", run, tmp_path, *QUICK, "--unseen", code=2)
    assert "go without --unseen" in said.stderr


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


def test_predict_writes_the_probabilities_of_the_pipeline_by_id(run, kaggle, tmp_path):
    output = tmp_path / "p.csv"
    cli("predict", run, kaggle, "--output", output)
    written = read_numbers(output)
    test = load_kaggle(kaggle, subset="test")
    assert list(written) == ["id", "label"]
    assert written["id"].tolist() == test.ids.tolist()
    pipeline = joblib.load(run / "model.joblib")
    np.testing.assert_array_equal(written["label"], pipeline.predict_proba(test.paths)[:, 1])


def test_predict_takes_the_training_patches_where_they_are_asked_for(run, kaggle, tmp_path):
    cli("predict", run, kaggle, "--subset", "train", "--output", tmp_path / "p.csv")
    assert len(pd.read_csv(tmp_path / "p.csv")) == len(load_kaggle(kaggle).ids)


def test_predict_takes_ids_from_the_line_and_from_a_file_in_their_order(run, kaggle, tmp_path):
    ids = load_kaggle(kaggle, subset="test").ids[::-1].tolist()
    (tmp_path / "some.txt").write_text("\n".join(ids[1:3]) + "\n")
    (tmp_path / "some.csv").write_text("n,id\n" + "".join(f"1,{i}\n" for i in ids[1:3]))
    for name in ("some.txt", "some.csv"):
        output = tmp_path / "p.csv"
        cli("predict", run, kaggle, ids[0], "--ids", tmp_path / name, "--output", output)
        assert pd.read_csv(output)["id"].tolist() == ids[:3]


def test_an_id_that_is_not_there_is_an_error_and_no_file(run, kaggle, tmp_path):
    said = cli("predict", run, kaggle, "nobody", "--output", tmp_path / "p.csv", code=2)
    assert "nobody" in said.stderr
    assert contents(tmp_path) == []


def test_predict_follows_the_order_of_a_sample_submission(run, kaggle, tmp_path):
    ids = load_kaggle(kaggle, subset="test").ids[::-1]
    pd.DataFrame({"id": ids, "label": 0}).to_csv(tmp_path / "sample.csv", index=False)
    output = tmp_path / "p.csv"
    cli("predict", run, kaggle, "--sample", tmp_path / "sample.csv", "--output", output)
    assert pd.read_csv(output)["id"].tolist() == ids.tolist()


def test_predict_with_json_prints_json_and_nothing_else(run, kaggle, tmp_path):
    facts = as_json("predict", run, kaggle, "--output", tmp_path / "p.csv")
    labels = pd.read_csv(tmp_path / "p.csv")["label"]
    assert facts["patches"] == len(labels)
    assert facts["called_positive"] == (labels >= facts["threshold"]).sum()


def test_card_of_a_run_is_the_card_that_the_run_wrote(run, tmp_path):
    cli("card", run, "--output", tmp_path / "card.html")
    assert (tmp_path / "card.html").read_bytes() == (run / "card.html").read_bytes()


def test_card_of_a_run_whose_patches_are_gone_says_so_and_goes_without(kaggle, run, tmp_path):
    gone = tmp_path / "run"
    gone.mkdir()
    for path in run.iterdir():
        (gone / path.name).write_bytes(path.read_bytes())
    config = (gone / "config.json").read_text().replace(str(kaggle), str(tmp_path / "gone"))
    (gone / "config.json").write_text(config)
    said = cli("card", gone, "--output", tmp_path / "card.md")
    assert "shows no patches" in " ".join(said.stderr.split())
    assert "most-wrong" not in (tmp_path / "card.md").read_text()


def test_card_on_other_patches_names_them_and_has_pictures_beside_it(run, others, tmp_path):
    options = ["--output", tmp_path / "c.md", "--title", "Seven", "--rounds", 100]
    facts = as_json("card", run, others, *options)
    text = (tmp_path / "c.md").read_text()
    assert "# Seven" in text
    assert "No patch evaluated, and none of their slides, took part in the run" in text
    for name in facts["pictures"]:
        assert (tmp_path / f"c-{name}.png").is_file()


def test_card_on_patches_that_took_part_says_so(run, kaggle, tmp_path):
    cli("card", run, kaggle, "--output", tmp_path / "c.html", "--rounds", 100)
    assert "figures on them are too good" in (tmp_path / "c.html").read_text()


def test_card_of_a_model_alone_needs_patches(model, tmp_path):
    said = cli("card", model, "--output", tmp_path / "c.html", code=2)
    assert "pass DATA" in said.stderr


def test_a_card_is_a_page_or_markdown(run, tmp_path):
    said = cli("card", run, "--output", tmp_path / "card.pdf", code=2)
    assert ".html or .md" in said.stderr


@pytest.mark.parametrize("content", [b"no pickle", b""])
def test_a_file_that_is_no_model_is_an_error_with_its_name(others, tmp_path, content):
    (tmp_path / "bad.joblib").write_bytes(content)
    said = cli("evaluate", tmp_path / "bad.joblib", others, code=2)
    assert "bad.joblib" in said.stderr


def test_a_file_that_holds_something_else_is_an_error_with_its_type(others, tmp_path):
    joblib.dump({"weights": 1}, tmp_path / "dict.joblib")
    said = cli("evaluate", tmp_path / "dict.joblib", others, code=2)
    assert "dict" in said.stderr


def test_a_folder_that_is_no_run_is_an_error_that_says_what_it_lacks(others, tmp_path):
    said = cli("evaluate", tmp_path, others, code=2)
    assert "model.joblib" in said.stderr
