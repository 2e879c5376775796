"""Read a model and what is known of its run, and refuse what is not as the run wrote it."""

import json
import shutil

import joblib
import pytest
from support.cli_runs import QUICK, as_json, cli

from pcam_sklearn.cli._manifest import write_manifest
from pcam_sklearn.cli._run_model import find_run, load_model, read_options, read_predictions

pytestmark = pytest.mark.slow  # A model is trained.
READ = ["model.pcam", "config.json", "evaluation.json", "split.csv", "predictions.csv"]


@pytest.fixture
def copy(run, tmp_path):
    """Return a copy of a run folder, to be damaged."""
    return shutil.copytree(run, tmp_path / "copy")


def check_refused(folder, *words):
    """Check that no command works with a run folder, and that each says why in these words."""
    csv, html = folder.parent / "s.csv", folder.parent / "c.html"
    for command in (
        ["evaluate", folder, "synthetic"],
        ["predict", folder, "synthetic", "--output", csv],
        ["card", folder, "--output", html],
    ):
        said = " ".join(cli(*command, code=2).stderr.split())
        assert all(word in said for word in words), said
    assert not csv.exists()
    assert not html.exists()


def test_the_kind_of_a_file_is_told_by_its_ending_in_capitals_too(run, tmp_path):
    file = shutil.copy(run / "model.pcam", tmp_path / "MODEL.PCAM")
    # A file of an unknown kind would be loaded by joblib, which runs code.
    assert load_model(file).metadata


@pytest.mark.parametrize("name", READ)
def test_a_missing_file_is_refused_by_name(copy, name):
    (copy / name).unlink()
    check_refused(copy, f"/{name} is missing", "train again")


@pytest.mark.parametrize("name", READ)
def test_a_file_that_was_cut_is_refused_by_name(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    check_refused(copy, f"/{name} has", "but the run wrote", "train again")


@pytest.mark.parametrize("name", READ)
def test_a_file_that_was_edited_is_refused_by_name(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    check_refused(copy, f"/{name} has changed", "train again")


def test_a_run_folder_without_its_manifest_is_refused(copy):
    (copy / "manifest.json").unlink()
    check_refused(copy, "lacks manifest.json")
    check_refused(copy / "model.pcam", "lacks manifest.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000]
)
def test_a_damaged_manifest_is_refused_by_name(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        find_run(copy)


def test_a_manifest_that_lacks_a_file_is_refused(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["split.csv"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"split\.csv is not in manifest\.json"):
        find_run(copy)


def test_a_card_or_a_picture_may_be_edited_or_go(copy, others):
    (copy / "card.md").write_text("mine")
    (copy / "roc.png").unlink()
    assert as_json("evaluate", copy, others, *QUICK)["operating_point"] is not None


def test_the_model_copied_out_of_a_damaged_run_stands_for_itself(copy, tmp_path):
    (copy / "split.csv").unlink()
    alone = shutil.copy(copy / "model.pcam", tmp_path)
    assert load_model(tmp_path / alone).folder is None


def rewrite(folder, name, change):
    """Change the text of a file, and make the manifest match."""
    text = (folder / name).read_text()
    changed = change(text)
    assert changed != text
    (folder / name).write_text(changed)
    write_manifest(folder)


def without(key, *inside):
    """Return a change of JSON text that takes a key away."""

    def change(text):
        facts = part = json.loads(text)
        for name in inside:
            part = part[name]
        del part[key]
        return json.dumps(facts)

    return change


CHANGES = {
    "no JSON": ("evaluation.json", lambda text: text[:-3], "cannot be read as JSON"),
    "NaN": ("evaluation.json", lambda text: text.replace("null", "NaN", 1), "NaN is no JSON"),
    "no object": ("evaluation.json", lambda text: "[]", "'name' is 'missing'"),
    "deep": ("evaluation.json", lambda text: "[" * 100_000, "cannot be read as JSON"),
    "no threshold": ("evaluation.json", without("threshold", "operating_point"), "'threshold' is"),
    "no hash": ("evaluation.json", without("data_sha256"), "'data_sha256' is 'missing'"),
    "a list": (
        "evaluation.json",
        lambda text: json.dumps({**json.loads(text), "operating_point": [1]}),
        "'operating_point' is [1]; it must be dict or null",
    ),
    "number": (
        "evaluation.json",
        lambda text: json.dumps({**json.loads(text), "training_data": {"Source": 1}}),
        "'Source' is 1; it must be str",
    ),
    "no part": ("split.csv", lambda text: text.replace("part", "side", 1), "it must have"),
    "other parts": ("split.csv", lambda text: text.replace("test", "tset"), "must name the parts"),
    "empty table": ("split.csv", lambda text: "", "cannot be read as a CSV file"),
}


@pytest.mark.parametrize(("name", "change", "said"), CHANGES.values(), ids=CHANGES)
def test_content_is_checked_even_if_the_manifest_was_rewritten(copy, name, change, said):
    rewrite(copy, name, change)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        find_run(copy)
    assert name in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("probability", "p"), "it must have"),
        (lambda text: text.replace("0.", "x.", 1), "is no number"),
        (lambda text: text.replace("0.", "7.", 1), "probabilities from 0 to 1"),
        (lambda text: text.partition("\n")[0] + "\n", "probabilities from 0 to 1"),
        (lambda text: text.replace("er\n", "est\n", 1), "the stains pinker and bluer"),
        (lambda text: text.replace("bluer\n", "\n", 1), "the stains pinker and bluer"),
    ],
)
def test_predictions_are_checked_even_if_the_manifest_was_rewritten(copy, change, said):
    rewrite(copy, "predictions.csv", change)
    with pytest.raises(ValueError, match=r"predictions\.csv") as caught:
        read_predictions(copy)
    assert said in str(caught.value)


@pytest.mark.parametrize("inside", [[], ["options"]])
def test_options_are_checked_even_if_the_manifest_was_rewritten(copy, inside):
    rewrite(copy, "config.json", without("data" if inside else "options", *inside))
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        read_options(copy)


@pytest.mark.parametrize("content", [b"no pickle", b""])
def test_a_file_that_is_not_a_model_is_an_error_with_its_name(others, tmp_path, content):
    (tmp_path / "bad.joblib").write_bytes(content)
    said = cli("evaluate", tmp_path / "bad.joblib", others, code=2)
    assert "bad.joblib" in said.stderr


def test_a_file_with_another_object_is_an_error_with_its_type(others, tmp_path):
    joblib.dump({"weights": 1}, tmp_path / "dict.joblib")
    said = cli("evaluate", tmp_path / "dict.joblib", others, code=2)
    assert "dict" in said.stderr


def test_a_folder_that_is_not_a_run_is_an_error_that_names_the_missing_file(others, tmp_path):
    said = cli("evaluate", tmp_path, others, code=2)
    assert "manifest.json" in said.stderr


class Hostile:
    """An object that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def commands_on(model, others, tmp_path):
    """Return each command line that reads a model."""
    return [
        ["evaluate", model, others, *QUICK],
        ["predict", model, others, "--output", tmp_path / "p.csv"],
        ["card", model, others, "--output", tmp_path / "card.html", *QUICK],
    ]


@pytest.mark.parametrize("name", ["model.pcam", "model.joblib"])
def test_no_command_runs_code_from_a_run_folder(copy, others, tmp_path, name):
    joblib.dump(Hostile(tmp_path / "ran"), copy / name)
    write_manifest(copy)
    for command in commands_on(copy, others, tmp_path):
        cli(*command, code=2 if name == "model.pcam" else 0)
    assert not (tmp_path / "ran").exists()


def test_no_command_runs_code_from_a_model_file(others, tmp_path):
    joblib.dump(Hostile(tmp_path / "ran"), tmp_path / "model.pcam")
    for command in commands_on(tmp_path / "model.pcam", others, tmp_path):
        assert "model.pcam cannot be loaded" in cli(*command, code=2).stderr
    assert not (tmp_path / "ran").exists()


def test_a_joblib_file_works_and_every_command_says_that_it_runs_code(run, others, tmp_path):
    joblib.dump(load_model(run).estimator, tmp_path / "some.joblib")
    for command in commands_on(tmp_path / "some.joblib", others, tmp_path):
        assert "some.joblib runs the code in it" in " ".join(cli(*command).stderr.split())


def test_a_model_file_alone_keeps_the_threshold_of_its_run(run, model):
    assert load_model(model).operating_point == load_model(run).operating_point is not None
