"""Find and load the patches of DATA: Kaggle's layout, official files, synthetic patches, ids."""

from functools import partial

import numpy as np
import pytest
from support.cli_runs import make_kaggle
from support.official_files import make_official

from pcam_sklearn.cli._patches import TO_LEARN, TO_MEASURE, load_patches, read_ids
from pcam_sklearn.datasets import make_patches


def load(data, subset=None, slides=None, default=TO_LEARN):
    return load_patches(str(data), subset, slides, 0, default=default, progress=False)


def test_a_kaggle_folder_is_recognized_by_its_names(tmp_path):
    patches = load(make_kaggle(tmp_path / "kaggle"))
    assert patches.name == "kaggle (train)"
    assert patches.X[0].endswith(".tif")


@pytest.mark.parametrize(("default", "part"), [(TO_LEARN, "train"), (TO_MEASURE, "test")])
def test_official_files_are_recognized_by_their_names(tmp_path, default, part):
    make_official(tmp_path / "pcam", part)
    patches = load(tmp_path / "pcam", default=default)
    assert patches.name == f"pcam ({part})"
    assert isinstance(patches.X, np.memmap)


def test_the_hospital_is_known_from_the_names_of_slides(tmp_path):
    make_official(tmp_path, "train")
    assert set(load(tmp_path).hospital) == {"RUMC", "UMCU"}


def test_synthetic_patches_of_another_seed_share_neither_id_nor_slide(monkeypatch):
    few = partial(make_patches, n_samples=20, n_slides=4)
    monkeypatch.setattr("pcam_sklearn.cli._patches.make_patches", few)
    first, other = (
        load_patches("synthetic", None, None, seed, default=TO_LEARN, progress=False)
        for seed in (0, 1)
    )
    assert not set(first.ids) & set(other.ids)
    assert not set(first.groups) & set(other.groups)


def test_a_missing_folder_is_an_error_that_names_everything_allowed(tmp_path):
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


def test_a_quoted_comma_in_a_table_of_ids_belongs_to_the_id(tmp_path):
    (tmp_path / "some.csv").write_text('note,id\n"a, b",first\nc,"second, of two"\n')
    assert read_ids(tmp_path / "some.csv") == ["first", "second, of two"]


def test_a_quoted_comma_in_a_list_of_ids_belongs_to_the_id(tmp_path):
    (tmp_path / "some.txt").write_text('first\n\n"second, of two"\n')
    assert read_ids(tmp_path / "some.txt") == ["first", "second, of two"]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"], ids=["empty", "without id"])
def test_a_file_without_ids_is_an_error_that_names_both_forms(tmp_path, content):
    (tmp_path / "some.csv").write_text(content)
    with pytest.raises(ValueError, match=r"one id per line.*column id"):
        read_ids(tmp_path / "some.csv")
