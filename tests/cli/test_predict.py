"""Write probabilities with predict."""

import numpy as np
import pandas as pd
import pytest
from support.cli_runs import (
    as_json,
    cli,
    contents,
    read_numbers,
)

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


def test_predict_takes_ids_from_the_line_and_from_a_file_in_their_order(run, kaggle, tmp_path):
    ids = load_kaggle(kaggle, subset="test").ids[::-1].tolist()
    (tmp_path / "some.txt").write_text("\n".join(ids[1:3]) + "\n")
    (tmp_path / "some.csv").write_text("n,id\n" + "".join(f"1,{i}\n" for i in ids[1:3]))
    for name in ("some.txt", "some.csv"):
        output = tmp_path / "p.csv"
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
