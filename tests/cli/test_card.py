"""Write model cards with card."""

import shutil

import pandas as pd
import pytest
from support.cli_runs import as_json, cli

from pcam_sklearn.cli._manifest import write_manifest

pytestmark = pytest.mark.slow  # A model is trained.


def test_card_of_a_run_is_the_card_that_the_run_wrote(run, tmp_path):
    cli("card", run, "--output", tmp_path / "card.html")
    assert (tmp_path / "card.html").read_bytes() == (run / "card.html").read_bytes()


@pytest.mark.parametrize(
    "options", [("--unseen",), ("--split", "test"), ("--slides", __file__), ("--random-state", 0)]
)
def test_options_about_data_are_refused_without_data(run, tmp_path, options):
    said = cli("card", run, *options, "--output", tmp_path / "card.html", code=2)
    assert "is about DATA" in said.stderr
    assert not (tmp_path / "card.html").exists()


def test_a_folder_that_is_missing_is_found_before_anything_is_measured(run, kaggle, tmp_path):
    said = cli("card", run, kaggle, "--output", tmp_path / "no" / "card.html", code=2)
    assert "there is no folder" in said.stderr
    assert "predict" not in said.stderr


def test_card_of_a_run_whose_patches_are_gone_says_so_and_goes_without(kaggle, run, tmp_path):
    gone = shutil.copytree(run, tmp_path / "run")
    config = (gone / "config.json").read_text().replace(str(kaggle), str(tmp_path / "gone"))
    (gone / "config.json").write_text(config)
    write_manifest(gone)
    said = cli("card", gone, "--output", tmp_path / "card.md")
    assert "shows no patches" in " ".join(said.stderr.split())
    assert "most-wrong" not in (tmp_path / "card.md").read_text()


def rewrite_stain(run, folder, change):
    """Return a copy of a run whose table of predictions was changed."""
    copy = shutil.copytree(run, folder)
    table = change(pd.read_csv(copy / "predictions.csv", dtype=str))
    table.to_csv(copy / "predictions.csv", index=False)
    write_manifest(copy)
    return copy


def test_card_of_a_run_that_recorded_no_colours_says_so(run, tmp_path):
    older = rewrite_stain(run, tmp_path / "run", lambda table: table.drop(columns="stain"))
    cli("card", older, "--output", tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text()
    assert "The colours of the slides are not known." in text
    assert "pinker" not in text


def test_card_of_a_run_with_a_slide_of_two_colours_is_an_error_that_names_it(run, tmp_path):
    def change(table):
        first, group = table.loc[0, ["slide", "stain"]]
        last = table.index[table["slide"] == first][-1]
        table.loc[last, "stain"] = "bluer" if group == "pinker" else "pinker"
        return table

    copy = rewrite_stain(run, tmp_path / "run", change)
    said = cli("card", copy, "--output", tmp_path / "card.md", code=2)
    assert "has patches of several stains" in said.stderr


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


def test_a_file_that_is_there_is_replaced_only_if_asked(run, tmp_path):
    (tmp_path / "notes.md").write_text("precious")
    said = cli("card", run, "--output", tmp_path / "notes.md", code=2)
    assert "pass another --output, or --overwrite" in said.stderr
    assert (tmp_path / "notes.md").read_text() == "precious"
    cli("card", run, "--output", tmp_path / "notes.md", "--overwrite")
    assert (tmp_path / "notes.md").read_text().startswith("# Tumour")


def test_a_card_is_a_page_or_markdown(run, tmp_path):
    said = cli("card", run, "--output", tmp_path / "card.pdf", code=2)
    assert ".html or .md" in said.stderr
