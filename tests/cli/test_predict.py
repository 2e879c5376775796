"""Write probabilities with predict."""

import json
import os
import shutil
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.cli_runs import ENVIRONMENT, as_json, cli, contents, read_numbers

from pcam_sklearn.cli import _probabilities, main
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.persistence import load_model

pytestmark = pytest.mark.slow  # A model is trained.


def test_predict_writes_the_probabilities_of_the_pipeline_by_id(run, kaggle, tmp_path):
    output = tmp_path / "p.csv"
    cli("predict", run, kaggle, "--output", output)
    written = read_numbers(output)
    test = load_kaggle(kaggle, subset="test")
    assert list(written) == ["id", "label"]
    assert written["id"].tolist() == test.ids.tolist()
    pipeline = load_model(run / "model.pcam")
    np.testing.assert_array_equal(written["label"], pipeline.predict_proba(test.paths)[:, 1])


def test_predict_takes_the_training_patches_if_asked(run, kaggle, tmp_path):
    cli("predict", run, kaggle, "--subset", "train", "--output", tmp_path / "p.csv")
    assert len(pd.read_csv(tmp_path / "p.csv")) == len(load_kaggle(kaggle).ids)


@pytest.mark.parametrize(("listed", "warned"), [(1, True), (0, False)])
def test_predict_warns_of_ids_of_kaggles_sample_without_a_patch(
    listed, warned, run, kaggle, tmp_path
):
    folder = shutil.copytree(kaggle, tmp_path / "kaggle")
    ids = [*load_kaggle(kaggle, subset="test").ids, *["absent"] * listed]
    (folder / "sample_submission.csv").write_text("id,label\n" + "".join(f"{i},0\n" for i in ids))
    said = cli("predict", run, folder, "--output", tmp_path / "a.csv").stderr
    assert ("1 ids of" in said) is warned
    # Training patches are no submission.
    options = ["--subset", "train", "--output", tmp_path / "b.csv"]
    assert "ids of" not in cli("predict", run, folder, *options).stderr


def test_a_damaged_sample_that_nobody_asked_for_is_a_warning(run, kaggle, tmp_path):
    folder = shutil.copytree(kaggle, tmp_path / "kaggle")
    (folder / "sample_submission.csv").write_bytes(b"\xff\x00,")
    said = cli("predict", run, folder, "--output", tmp_path / "p.csv")
    assert "sample_submission.csv cannot be read" in " ".join(said.stderr.split())
    assert (tmp_path / "p.csv").exists()


def test_the_word_synthetic_is_no_folder_with_a_sample(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "sample_submission.csv").write_text("id,label\nabsent,0\n")
    assert "ids of" not in cli("predict", run, "synthetic", "--output", "p.csv").stderr


def test_predict_takes_ids_from_the_line_and_from_a_file_in_their_order(run, kaggle, tmp_path):
    ids = load_kaggle(kaggle, subset="test").ids[::-1].tolist()
    (tmp_path / "some.txt").write_text("\n".join(ids[1:3]) + "\n")
    (tmp_path / "some.csv").write_text("n,id\n" + "".join(f"1,{i}\n" for i in ids[1:3]))
    for name in ("some.txt", "some.csv"):
        output = tmp_path / f"{name}.out"
        cli("predict", run, kaggle, ids[0], "--ids", tmp_path / name, "--output", output)
        assert pd.read_csv(output)["id"].tolist() == ids[:3]


def test_an_unknown_id_is_an_error_and_writes_no_file(run, kaggle, tmp_path):
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


def test_an_existing_file_is_replaced_only_on_request(run, kaggle, tmp_path):
    (tmp_path / "p.csv").write_text("mine")
    command = ("predict", run, kaggle, "--output", tmp_path / "p.csv")
    said = cli(*command, code=2)
    assert "p.csv exists; pass another --output, or --overwrite" in said.stderr
    assert (tmp_path / "p.csv").read_text() == "mine"
    cli(*command, "--overwrite")
    assert len(read_numbers(tmp_path / "p.csv")) == 6


def test_the_default_output_is_not_replaced_either(run, kaggle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("predict", run, kaggle)
    assert "submission.csv exists" in cli("predict", run, kaggle, code=2).stderr


def test_a_sample_is_not_replaced_by_the_probabilities(run, kaggle, tmp_path):
    sample = tmp_path / "sample.csv"
    pd.DataFrame({"id": load_kaggle(kaggle, "test").ids, "label": 0}).to_csv(sample, index=False)
    cli("predict", run, kaggle, "--sample", sample, "--output", sample, code=2)
    assert set(pd.read_csv(sample)["label"]) == {0}


def not_called(*_, **__):
    raise AssertionError("patches are predicted although the command must fail")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,label\n", "ids are not in sample"),
        ("id,label\na,0\na,0\n", "1 ids of sample occur more than once"),
        ("name\na\n", "must have ['id']"),
        ("id,label\nz,0\n", "ids lack 1 of those in sample: 'z'"),
    ],
    ids=["no id", "an id twice", "no column id", "other ids"],
)
def test_a_sample_that_does_not_fit_is_an_error_before_anything_is_predicted(
    run, kaggle, tmp_path, monkeypatch, content, message
):
    (tmp_path / "sample.csv").write_text(content)
    monkeypatch.setattr(_probabilities, "predict_tumour", not_called)
    command = ("predict", run, kaggle, "--output", tmp_path / "p.csv")
    assert message in cli(*command, "--sample", tmp_path / "sample.csv", code=2).stderr


def test_an_id_twice_is_an_error_before_anything_is_predicted(run, kaggle, tmp_path, monkeypatch):
    monkeypatch.setattr(_probabilities, "predict_tumour", not_called)
    id_ = load_kaggle(kaggle, "test").ids[0]
    said = cli("predict", run, kaggle, id_, id_, "--output", tmp_path / "p.csv", code=2)
    assert f"1 ids occur more than once: '{id_}'" in said.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are bytes")
def test_a_name_that_is_no_text_is_an_error_before_anything_is_predicted(
    run, kaggle, tmp_path, monkeypatch
):
    shutil.copytree(kaggle / "test", tmp_path / "plain")
    file = next((tmp_path / "plain").iterdir())
    file.rename(file.with_name("\udcff.tif"))
    monkeypatch.setattr(_probabilities, "predict_tumour", not_called)
    said = cli("predict", run, tmp_path / "plain", "--output", tmp_path / "p.csv", code=2)
    assert r"the first is '\udcff.tif'; rename its file" in said.stderr


def test_an_unknown_id_is_an_error_that_shows_what_ids_are_like(run, kaggle, tmp_path):
    shutil.copytree(kaggle / "test", tmp_path / "plain")
    first = sorted(file.name for file in (tmp_path / "plain").iterdir())[0]
    said = cli("predict", run, tmp_path / "plain", first[:-4], code=2)
    assert f"its ids are such as {first}, " in said.stderr


def test_images_of_another_size_are_an_error_wherever_they_come(run, kaggle, tmp_path, monkeypatch):
    monkeypatch.setattr(_probabilities, "_CHUNK", 2)
    data = shutil.copytree(kaggle / "test", tmp_path / "plain")
    for name in ("y.png", "z.png"):  # They begin a chunk.
        cv2.imwrite(str(data / name), np.zeros((300, 300, 3), np.uint8))
    said = cli("predict", run, data, "--output", tmp_path / "p.csv", code=2)
    assert "2 of 8 files differ from the first patch's shape (96, 96, 3)" in said.stderr
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.skipif(os.name != "posix" or not os.getuid(), reason="the superuser may write all")
def test_a_folder_that_may_not_be_written_is_an_error_before_anything_is_predicted(
    run, kaggle, tmp_path, monkeypatch
):
    monkeypatch.setattr(_probabilities, "predict_tumour", not_called)
    (tmp_path / "shared").mkdir(mode=0o555)
    said = cli("predict", run, kaggle, "--output", tmp_path / "shared" / "p.csv", code=2)
    assert "p.csv cannot be written, because the folder" in said.stderr


def test_a_file_that_appears_while_patches_are_predicted_is_kept(
    run, kaggle, tmp_path, monkeypatch
):
    def predict(*arguments, **options):
        (tmp_path / "p.csv").write_text("theirs")
        return predict_tumour(*arguments, **options)

    predict_tumour = _probabilities.predict_tumour
    monkeypatch.setattr(_probabilities, "predict_tumour", predict)
    cli("predict", run, kaggle, "--output", tmp_path / "p.csv", code=2)
    assert (tmp_path / "p.csv").read_text() == "theirs"


@pytest.mark.parametrize("slides", [True, False], ids=["slides.csv", "no slides.csv"])
def test_predict_needs_no_labels_of_training_patches(run, kaggle, tmp_path, slides):
    data = shutil.copytree(kaggle, tmp_path / "data")
    (data / "train_labels.csv").unlink()
    if not slides:
        (data / "slides.csv").unlink()
    cli("predict", run, data, "--subset", "train", "--output", tmp_path / "p.csv")
    cli("predict", run, kaggle, "--subset", "train", "--output", tmp_path / "all.csv")
    table, expected = (read_numbers(tmp_path / f"{name}.csv") for name in ("p", "all"))
    assert table["id"].tolist() == sorted(expected["id"])
    assert dict(table.itertuples(index=False)) == pytest.approx(
        dict(expected.itertuples(index=False)), abs=1e-6
    )


def test_to_measure_still_takes_labels(run, kaggle, tmp_path):
    data = shutil.copytree(kaggle, tmp_path / "data")
    (data / "train_labels.csv").unlink()
    said = cli("evaluate", run, data, "--subset", "train", code=2)
    assert "train_labels.csv" in said.stderr


@pytest.mark.parametrize("charset", ["cp1252", "ascii", "latin-1"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_name_that_the_terminal_cannot_show_ends_no_command(run, kaggle, tmp_path, charset, form):
    output = tmp_path / "\u9884\u6d4b \xe9\U0001f52c.csv"
    command = ["predict", str(run), str(kaggle), "--output", str(output), *form]
    result = CliRunner(charset=charset).invoke(main, command, env=ENVIRONMENT)
    assert result.exit_code == 0
    assert len(read_numbers(output)) == 6
    if form:
        assert json.loads(result.stdout)["output"] == str(output)


def test_json_keeps_letters_where_the_terminal_can_show_them(run, kaggle, tmp_path):
    output = tmp_path / "\u9884.csv"
    assert "\u9884.csv" in cli("predict", run, kaggle, "--output", output, "--json").stdout
