"""A submission holds the right probability for each id, or is not written."""

import csv
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcam_sklearn.submission import write_submission

IDS = ["c", "a", "b"]
SCORES = [0.3, 0.1, 0.2]
SAMPLE = pd.DataFrame({"id": ["a", "b", "c"], "label": 0})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "submission.csv"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("submission") / "submission.csv"


def read_back(path: Path) -> tuple[list[str], list[float]]:
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "label"]
    return [row[0] for row in rows], [float(row[1]) for row in rows]


def test_without_a_sample_the_order_is_that_of_the_ids(path):
    assert write_submission(path, IDS, SCORES) == path
    assert path.read_text() == "id,label\nc,0.3\na,0.1\nb,0.2\n"


def test_with_a_sample_the_order_is_that_of_the_sample(path):
    write_submission(path, IDS, SCORES, SAMPLE)
    assert path.read_text() == "id,label\na,0.1\nb,0.2\nc,0.3\n"


def test_the_sample_may_be_a_file(path, tmp_path):
    SAMPLE.to_csv(tmp_path / "sample.csv", index=False)
    write_submission(path, IDS, SCORES, tmp_path / "sample.csv")
    assert read_back(path)[0] == ["a", "b", "c"]


@pytest.mark.slow
def test_kaggle_s_own_sample_is_filled_in_its_order(path, whole_sample):
    sample = pd.read_csv(whole_sample / "sample_submission.csv")
    rng = np.random.default_rng(0)
    scores = pd.Series(rng.random(len(sample)), index=rng.permutation(sample["id"]))
    write_submission(path, scores.index, scores, whole_sample / "sample_submission.csv")
    assert read_back(path) == (sample["id"].tolist(), scores[sample["id"]].tolist())


@pytest.mark.slow
@given(
    st.dictionaries(
        st.text("abcdef0123456789", min_size=1, max_size=40),
        st.floats(0, 1, exclude_min=True, exclude_max=True),
        min_size=1,
    ),
    st.randoms(),
)
def test_every_probability_comes_back_as_it_was_beside_its_id(scratch, scores, random):
    order = random.sample(sorted(scores), len(scores))
    write_submission(scratch, list(scores), list(scores.values()), pd.DataFrame({"id": order}))
    assert read_back(scratch) == (order, [scores[name] for name in order])


def test_single_precision_comes_back_as_it_was(path):
    scores = np.array([0.1, 0.7], np.float32)
    write_submission(path, ["a", "b"], scores)
    assert np.array_equal(np.array(read_back(path)[1], np.float32), scores)


def test_what_predict_proba_returns_is_taken_by_its_positive_column(path):
    positive = np.array(SCORES)
    write_submission(path, IDS, np.column_stack([1 - positive, positive]))
    assert read_back(path) == (IDS, SCORES)


def test_one_column_is_taken_as_it_is(path):
    write_submission(path, IDS, np.array(SCORES)[:, np.newaxis])
    assert read_back(path) == (IDS, SCORES)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0, 1, 1], "are labels.*predict_proba"),
        ([0.0, 1.0, 0.0], "are labels"),
        ([True, False, True], "are labels"),
        ([[0, 1], [1, 0], [0, 1]], "are labels"),
        ([0.1, np.nan, 0.2], "1 of 3 probabilities are NaN .* nan at position 1"),
        ([0.1, 0.2, 1.01], r"1\.01 at position 2"),
        ([-0.1, 0.2, 0.3], r"-0\.1 at position 0"),
        ([0.1, np.inf, 0.3], "inf at position 1"),
        ([0.1, 0.2], "3 ids for 2 probabilities"),
        ([[0.1, 0.2, 0.7]] * 3, r"got \(3, 3\)"),
        ([[0.1, 0.2]] * 3, "3 of 3 rows .* do not sum to 1"),
        (["high", "low", "low"], "must be numbers"),
        (0.5, r"got \(\)"),
    ],
    ids=str,
)
def test_anything_but_a_probability_is_refused(path, scores, message):
    with pytest.raises(ValueError, match=message):
        write_submission(path, IDS, scores)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["series", "one column", "two columns", "string dtype"])
def test_probabilities_with_ids_in_their_index_are_joined_on_them(path, kind):
    scores = pd.Series({"a": 0.1, "b": 0.2, "c": 0.3})
    if kind == "one column":
        scores = scores.to_frame()
    elif kind == "two columns":
        scores = pd.DataFrame({0: 1 - scores, 1: scores})
    elif kind == "string dtype":
        scores.index = scores.index.astype("string")
    write_submission(path, IDS, scores)
    assert read_back(path) == (IDS, SCORES)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a": 0.1, "b": 0.2}, "1 ids are not in the index of probabilities: 'c'"),
        ({"a": 0.1, "b": 0.2, "d": 0.3}, "1 ids are not in the index of probabilities: 'c'"),
        ({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, "1 ids are there, but not in ids: 'd'"),
        ({"c.tif": 0.1, "a.tif": 0.2, "b.tif": 0.3}, "3 ids are not in the index"),
    ],
    ids=str,
)
def test_probabilities_of_other_ids_are_refused(path, scores, message):
    with pytest.raises(ValueError, match=message):
        write_submission(path, IDS, pd.Series(scores))
    assert not path.exists()


def test_an_id_twice_in_the_index_is_refused(path):
    scores = pd.Series([0.1, 0.2, 0.3], index=["a", "b", "b"])
    with pytest.raises(ValueError, match="index of probabilities occur more than once: 'b'"):
        write_submission(path, IDS, scores)


SERIES = pd.Series(SCORES)


@pytest.mark.parametrize(
    ("ids", "scores"),
    [
        (IDS, SERIES.sort_values()),
        (pd.Series(IDS), SERIES.iloc[::-1]),
        (pd.Series(IDS).iloc[::-1], SERIES),
        (IDS, SERIES.set_axis([10, 11, 12])),
        (IDS, SERIES.set_axis(["a", 1, "b"])),
        (IDS, SERIES.to_frame().iloc[[2, 0, 1]]),
        (IDS, SERIES.set_axis(pd.MultiIndex.from_product([["x"], IDS]))),
    ],
    ids=["sorted", "reversed", "ids reversed", "selected", "mixed", "frame", "two levels"],
)
def test_an_index_that_leaves_the_order_open_is_refused(path, ids, scores):
    with pytest.raises(ValueError, match="their order is not known; pass"):
        write_submission(path, ids, scores)
    assert not path.exists()


@pytest.mark.parametrize("index", [[0, 1, 2], [7, 3, 5], pd.to_datetime([3, 1, 2])], ids=str)
def test_a_series_with_the_index_of_the_ids_is_in_their_order(path, index):
    write_submission(path, pd.Series(IDS, index=index), pd.Series(SCORES, index=index))
    assert read_back(path) == (IDS, SCORES)


def test_a_series_without_an_index_of_its_own_is_in_the_order_of_the_ids(path):
    write_submission(path, np.array(IDS), SERIES)
    assert read_back(path) == (IDS, SCORES)


@pytest.mark.parametrize("columns", [[1, 0], ["1", "0"], [True, False]], ids=str)
def test_columns_whose_names_are_swapped_are_refused(path, columns):
    scores = pd.DataFrame(np.column_stack([SCORES, 1 - np.array(SCORES)]), columns=columns)
    with pytest.raises(ValueError, match="the positive class comes second"):
        write_submission(path, IDS, scores)


def test_masked_values_are_refused_and_unmasked_ones_taken(path):
    masked = np.ma.masked_array(SCORES, mask=[False, True, False])
    with pytest.raises(ValueError, match="1 of 3 probabilities are masked"):
        write_submission(path, IDS, masked)
    with pytest.raises(ValueError, match="2 of 6 probabilities are masked"):
        write_submission(path, IDS, np.ma.column_stack([1 - masked, masked]))
    with pytest.raises(ValueError, match="1 of 3 ids are masked"):
        write_submission(path, np.ma.masked_array(IDS, mask=[1, 0, 0]), SCORES)
    with pytest.raises(ValueError, match=r"are NaN|must be numbers"):
        write_submission(path, IDS, pd.Series([0.1, pd.NA, 0.2], dtype="Float64"))
    assert not path.exists()
    write_submission(path, IDS, np.ma.masked_array(SCORES, mask=False))
    assert read_back(path) == (IDS, SCORES)


def test_a_submission_that_is_replaced_keeps_its_permissions(path):
    path.write_text("old")
    path.chmod(0o600)
    write_submission(path, IDS, SCORES)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "more than once: 'a'"),
        (["a", "b", ""], "1 of 3 ids are empty or no text"),
        (["a", "b", None], "the first is None"),
        (["a", "b", 3], "the first is 3"),
        ([["a"], ["b"], ["c"]], r"got \(3, 1\)"),
    ],
    ids=str,
)
def test_wrong_ids_are_refused(path, ids, message):
    with pytest.raises(ValueError, match=message):
        write_submission(path, ids, SCORES)
    assert not path.exists()


def test_an_id_of_the_sample_that_is_not_given_is_refused(path):
    with pytest.raises(
        ValueError, match=r"ids lack 1 .*: 'c'; predict all .* or leave out the sample"
    ):
        write_submission(path, ["a", "b"], [0.1, 0.2], SAMPLE)
    assert not path.exists()


def test_ids_with_endings_are_told_from_ids_that_were_not_predicted(path):
    message = r"ids lack 2 .* 'a', 'b'; 2 ids are not in sample: 'a\.tif', 'b\.tif'; an id has nei"
    with pytest.raises(ValueError, match=message):
        write_submission(path, ["a.tif", "b.tif"], [0.2, 0.3], pd.DataFrame({"id": ["a", "b"]}))


def test_an_index_of_text_that_ids_has_too_is_a_position(path):
    rows = ["r1", "r2"]
    ids, scores = pd.Series(["b", "a"], index=rows), pd.Series([0.2, 0.3], index=rows)
    assert write_submission(path, ids, scores).read_text().split() == ["id,label", "b,0.2", "a,0.3"]


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2", "zip", "tar", "tar.gz", "tar.xz"])
def test_a_packed_file_holds_the_table_under_its_own_name(tmp_path, ending):
    path = write_submission(tmp_path / f"s.csv.{ending}", ["b", "a"], [0.25, 0.75])
    assert pd.read_csv(path)["label"].tolist() == [0.25, 0.75]
    if ending == "zip":
        assert zipfile.ZipFile(path).namelist() == ["s.csv"]
    elif ending.startswith("tar"):
        with tarfile.open(path) as archive:
            (name,) = archive.getnames()
        assert name.startswith("s.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe is no regular file; give the name of a file"):
        write_submission(tmp_path / "pipe", ["b", "a"], [0.25, 0.75])
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_an_id_that_is_not_in_the_sample_is_refused(path):
    with pytest.raises(ValueError, match=r"1 ids are not in sample: 'test/d\.tif'; an id has nei"):
        write_submission(path, [*IDS, "test/d.tif"], [*SCORES, 0.4], SAMPLE)
    assert not path.exists()


def test_many_wrong_ids_are_counted_and_five_named(path):
    with pytest.raises(ValueError, match=r"10 ids occur .*: 'x0', 'x1', 'x2', 'x3', 'x4', \.\.\.$"):
        write_submission(path, [f"x{i}" for i in range(10)] * 2, [0.5] * 20)


def test_a_sample_with_an_id_twice_is_refused(path):
    sample = pd.DataFrame({"id": ["a", "b", "c", "c"]})
    with pytest.raises(ValueError, match="ids of sample occur more than once: 'c'"):
        write_submission(path, IDS, SCORES, sample)


def test_a_sample_without_ids_is_refused(path):
    with pytest.raises(ValueError, match=r"columns \['name'\]; it must have \['id'\]"):
        write_submission(path, IDS, SCORES, pd.DataFrame({"name": IDS}))


def test_a_sample_that_is_not_a_table_is_an_error_that_names_the_file(path, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv cannot be read"):
        write_submission(path, IDS, SCORES, tmp_path / "empty.csv")


def test_a_missing_sample_is_an_error_that_names_its_path(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        write_submission(path, IDS, SCORES, tmp_path / "nowhere.csv")


def test_an_empty_submission_is_refused(path):
    with pytest.raises(ValueError, match="not one probability"):
        write_submission(path, [], [])


def test_an_existing_file_stays_if_the_new_one_is_refused(path):
    path.write_text("old")
    with pytest.raises(ValueError, match="labels"):
        write_submission(path, IDS, [0, 1, 0])
    assert path.read_text() == "old"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    path.write_text("old")

    def fail(self, target, **options):
        Path(target).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.Series, "to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_submission(path, IDS, SCORES)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_the_caller_s_values_are_not_changed(path):
    scores, sample = np.array(SCORES), SAMPLE.copy()
    write_submission(path, IDS, scores, sample)
    assert scores.tolist() == SCORES
    pd.testing.assert_frame_equal(sample, SAMPLE)
