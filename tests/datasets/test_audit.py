"""audit_patches finds every damage, and nothing else."""

import csv
import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_tiff import write_plain
from support.quiet import opencv_log

from pcam_sklearn import PatchReader
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.datasets._audit import audit_patches
from pcam_sklearn.datasets._audit_report import DAMAGE, NOTES

N_TRAIN, N_TEST = 26, 4
Found = set[tuple[str, str]]


def patch(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)


def sha1(pixels: np.ndarray) -> str:
    return hashlib.sha1(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def make_folder(root: Path) -> Path:
    """Write a folder in Kaggle's layout."""
    ids = []
    for seed in range(N_TRAIN + N_TEST):
        folder = root / ("train" if seed < N_TRAIN else "test")
        folder.mkdir(parents=True, exist_ok=True)
        ids.append(sha1(patch(seed)))
        write_plain(folder / f"{ids[-1]}.tif", patch(seed))
    rows = [f"{name},{i % 2}" for i, name in enumerate(ids[:N_TRAIN])]
    write_lines(root / "train_labels.csv", ["id,label", *rows])
    slides = [f"{name},g{i % 3}" for i, name in enumerate(ids[:N_TRAIN])]
    write_lines(root / "slides.csv", ["id,slide", *slides])
    elsewhere = [f"{sha1(patch(seed))},0" for seed in range(1000, 1003)]
    listed = [f"{name},0" for name in ids[N_TRAIN:]]
    write_lines(root / "sample_submission.csv", ["id,label", *listed, *elsewhere])
    return root


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def edit(path: Path, identifier: str, change: Callable[[str], list[str]]) -> None:
    lines = path.read_text().splitlines()
    edited = [new for old in lines for new in (change(old) if identifier in old else [old])]
    write_lines(path, edited)


def append(path: Path, line: str) -> None:
    write_lines(path, [*path.read_text().splitlines(), line])


def relabel(label: str, kind: str) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        edit(root / "train_labels.csv", name, lambda _: [f"{name},{label}"])
        return {(kind, name)}

    return damage


def add_row(text: str) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        append(root / "train_labels.csv", f"{text},0")
        return {("malformed id", text)}

    return damage


def add_own_row(text: str) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        append(root / "train_labels.csv", f"{text},0")
        return {("no file", text), ("no slide", text)}

    return damage


def content(data: bytes, kind: str) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        (root / f"train/{name}.tif").write_bytes(data)
        return {(kind, name)}

    return damage


def truncate(root: Path, name: str) -> Found:
    os.truncate(root / f"train/{name}.tif", 20_000)
    return {("truncated", name)}


def repeat_row(root: Path, name: str) -> Found:
    edit(root / "train_labels.csv", name, lambda line: [line, line])
    return {("duplicate id", name)}


def delete_file(root: Path, name: str) -> Found:
    (root / f"train/{name}.tif").unlink()
    return {("no file", name)}


def delete_row(root: Path, name: str) -> Found:
    edit(root / "train_labels.csv", name, lambda _: [])
    return {("no label", name)}


def make_it_a_folder(root: Path, name: str) -> Found:
    (root / f"train/{name}.tif").unlink()
    (root / f"train/{name}.tif").mkdir()
    return {("no file", name), ("other file", "")}


def make_it_a_dead_link(root: Path, name: str) -> Found:
    (root / f"train/{name}.tif").unlink()
    (root / f"train/{name}.tif").symlink_to(root / "nowhere.tif")
    return {("unreadable", name)}


def make_it_a_pipe(root: Path, name: str) -> Found:
    (root / f"train/{name}.tif").unlink()
    os.mkfifo(root / f"train/{name}.tif")
    return {("unreadable", name)}


def resize(root: Path, name: str) -> Found:
    write_plain_of_any_size(root / f"train/{name}.tif", patch(77)[:50, :60])
    return {("wrong size", name)}


def write_plain_of_any_size(path: Path, pixels: np.ndarray) -> None:
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :, ::-1]))


def change_one_value(root: Path, name: str) -> Found:
    path = root / f"train/{name}.tif"
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    return {("wrong pixels", name)}


def reverse_channels(root: Path, name: str) -> Found:
    path = root / f"train/{name}.tif"
    cv2.imwrite(str(path), cv2.imread(str(path))[:, :, ::-1])
    return {("wrong pixels", name)}


def add_patch(pixels: np.ndarray) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        new = sha1(pixels)
        write_plain(root / f"train/{new}.tif", pixels)
        append(root / "train_labels.csv", f"{new},0")
        append(root / "slides.csv", f"{new},g0")
        return {("blank", new)}

    return damage


def repeat_in_test(root: Path, name: str) -> Found:
    shutil.copy(root / f"train/{name}.tif", root / f"test/{name}.tif")
    append(root / "sample_submission.csv", f"{name},0")
    return {("duplicate pixels", name)}


def repeat_under_another_id(root: Path, name: str) -> Found:
    other = sha1(patch(0))  # No damage is planted in the first patch itself.
    shutil.copy(root / f"train/{other}.tif", root / f"train/{name}.tif")
    return {("wrong pixels", name), ("duplicate pixels", max(name, other))}


def add_a_stranger(root: Path, name: str) -> Found:
    (root / "train/Thumbs.db").write_bytes(b"")
    return {("other file", "")}


def hide(root: Path, name: str) -> Found:
    (root / f"train/._{name}.tif").write_bytes(b"of macOS")
    return {("other file", "")}


def misname(file: str) -> Callable[[Path, str], Found]:
    def damage(root: Path, name: str) -> Found:
        write_plain(root / file, patch(500))
        return {("malformed id", Path(file).stem)}

    return damage


def mix_kinds(root: Path, name: str) -> Found:
    cv2.imwrite(str(root / f"train/{name}.png"), cv2.imread(str(root / f"train/{name}.tif")))
    (root / f"train/{name}.tif").unlink()
    return {("two kinds", "")}


def delete_slide(root: Path, name: str) -> Found:
    edit(root / "slides.csv", name, lambda _: [])
    return {("no slide", name)}


def unlist(root: Path, name: str) -> Found:
    test_id = sha1(patch(N_TRAIN))
    edit(root / "sample_submission.csv", test_id, lambda _: [])
    return {("not listed", test_id)}


DAMAGES: dict[str, Callable[[Path, str], Found]] = {
    "an empty label": relabel("", "missing label"),
    "a label nan": relabel("NaN", "missing label"),
    "a label 2": relabel("2", "invalid label"),
    "a label .5": relabel("0.5", "invalid label"),
    "a label in words": relabel("tumor", "invalid label"),
    "an id that climbs": add_row("../../secret"),
    "an absolute id": add_row("/etc/passwd"),
    "an id with a space": add_row("a b"),
    "an empty id": add_row(""),
    "an id that has no file": add_own_row("patch-7"),
    "an id twice": repeat_row,
    "a file deleted": delete_file,
    "a row deleted": delete_row,
    "an empty file": content(b"", "unreadable"),
    "a file of junk": content(b"junk" * 7000, "unreadable"),
    "a folder for a file": make_it_a_folder,
    "a dead link": make_it_a_dead_link,
    "a pipe": make_it_a_pipe,
    "a file cut short": truncate,
    "another size": resize,
    "one bit changed": change_one_value,
    "channels reversed": reverse_channels,
    "a black patch": add_patch(np.full((96, 96, 3), 9, np.uint8)),
    "a white patch": add_patch(np.full((96, 96, 3), 246, np.uint8)),
    "a patch in train and test": repeat_in_test,
    "a patch under two ids": repeat_under_another_id,
    "another kind of file": add_a_stranger,
    "a copy": misname("test/copy of patch.tif"),
    "a second download": misname("train/patch (1).tif"),
    "an ending in capitals": misname("train/PATCH.TIF"),
    "a hidden file of macOS": hide,
    "png beside tif": mix_kinds,
    "a slide not named": delete_slide,
    "a test patch not listed": unlist,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("whole") / "data")


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "data")


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("empty")
    (root / "train").mkdir()
    return root


def found(folder: Path) -> Found:
    return {(one.kind, one.id) for one in audit_patches(folder, progress=False).findings}


def victims(folder: Path) -> list[str]:
    """Return the ids of the patches to damage: all but the first."""
    return [sha1(patch(seed)) for seed in range(1, N_TRAIN)]


def test_a_whole_folder_is_ok(whole):
    report = audit_patches(whole, progress=False)
    assert report.findings == ()
    assert report.ok


def test_the_real_patches_raise_no_false_alarm(whole_sample):
    report = audit_patches(whole_sample, progress=False)
    assert report.findings == ()
    assert report.counts == {
        "rows": 4000,
        "label 0": 2526,
        "label 1": 1474,
        "train files": 4000,
        "test files": 44,
        "listed for submission": 57_458,
        "listed without a file": 57_414,
        "slides": 48,
    }


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_found_and_nothing_else(folder, name):
    expected = DAMAGES[name](folder, victims(folder)[0])
    report = audit_patches(folder, progress=False)
    assert sorted((one.kind, one.id) for one in report.findings) == sorted(expected)
    assert report.ok == all(kind in NOTES for kind, _ in expected)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(names=st.sets(st.sampled_from(sorted(DAMAGES)), min_size=2, max_size=N_TRAIN - 2))
def test_any_damages_together_are_all_found_and_nothing_else(whole, tmp_path_factory, names):
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("many") / "data")
    expected = set()
    for name, victim in zip(sorted(names), victims(folder), strict=False):
        expected |= DAMAGES[name](folder, victim)
    assert found(folder) == expected
    shutil.rmtree(folder)


def test_every_kind_of_damage_in_a_copy_of_real_patches_is_found(sample_folder, tmp_path):
    root = tmp_path / "data"
    labels = pd.read_csv(sample_folder / "train_labels.csv", dtype=str).head(60)
    (root / "train").mkdir(parents=True)
    (root / "test").mkdir()
    for identifier in labels["id"]:
        shutil.copyfile(sample_folder / f"train/{identifier}.tif", root / f"train/{identifier}.tif")
    labels.to_csv(root / "train_labels.csv", index=False)
    slides = pd.read_csv(sample_folder / "slides.csv", dtype=str)
    slides[slides["id"].isin(labels["id"])].to_csv(root / "slides.csv", index=False)
    assert found(root) == set()
    for seed in (0, N_TRAIN):  # Two of the damages need these patches.
        identifier = sha1(patch(seed))
        write_plain(root / f"{'test' if seed else 'train'}/{identifier}.tif", patch(seed))
    append(root / "train_labels.csv", f"{sha1(patch(0))},0")
    append(root / "slides.csv", f"{sha1(patch(0))},g0")
    write_lines(root / "sample_submission.csv", ["id,label", f"{sha1(patch(N_TRAIN))},0"])
    expected = set()
    for damage, victim in zip(DAMAGES.values(), labels["id"], strict=False):
        expected |= damage(root, victim)
    assert found(root) == expected
    assert {kind for kind, _ in expected} == set(DAMAGE) - {"no rows"} | set(NOTES)


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_an_id_of_any_text_is_malformed_or_has_no_file(empty_folder, text):
    root = empty_folder
    with open(root / "train_labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["id", "label"], [text, "1"]])
    report = audit_patches(root, progress=False)
    kind = "no file" if re.fullmatch("[0-9A-Za-z_-]+", text) else "malformed id"
    assert [one.kind for one in report.findings] == [kind]


def test_an_id_that_leads_to_a_real_file_outside_is_refused_all_the_same(folder):
    write_plain(folder.parent / "secret.tif", patch(3))
    append(folder / "train_labels.csv", "../../secret,1")
    assert found(folder) == {("malformed id", "../../secret")}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_the_audit_passes_is_loaded_without_a_complaint(folder, name):
    DAMAGES[name](folder, victims(folder)[0])
    complaints = []
    for subset in ("train", "test"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                PatchReader().transform(load_kaggle(folder, subset).paths)
            except (OSError, ValueError) as error:
                complaints.append(error)
        complaints += [warning.message for warning in caught]
    assert not complaints or not audit_patches(folder, progress=False).ok


def test_a_table_without_rows_is_damage(folder):
    (folder / "train_labels.csv").write_text("id,label\n")
    kinds = {kind for kind, _ in found(folder)}
    assert kinds == {"no rows", "no label"}


@pytest.mark.parametrize("slide", ["", "NA", "nan"])
def test_a_slide_that_is_missing_in_words_is_no_slide(folder, slide):
    name = victims(folder)[0]
    edit(folder / "slides.csv", name, lambda _: [f"{name},{slide}"])
    report = audit_patches(folder, progress=False)
    assert [(one.kind, one.id) for one in report.findings] == [("no slide", name)]
    assert report.counts["slides"] == 3


def test_a_folder_of_png_files_is_audited_as_it_is_loaded(folder):
    for path in sorted(folder.glob("t*/*.tif")):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)))
        path.unlink()
    assert audit_patches(folder, progress=False).ok
    path = folder / f"train/{victims(folder)[0]}.png"
    cv2.imwrite(str(path), cv2.imread(str(path))[:, :, ::-1])
    assert found(folder) == {("wrong pixels", path.stem)}


def test_names_that_are_no_sha_1_are_counted_and_their_pixels_are_read(folder):
    write_plain(folder / "train/own-1.tif", patch(501))
    append(folder / "train_labels.csv", "own-1,0")
    append(folder / "slides.csv", "own-1,g0")
    report = audit_patches(folder, progress=False)
    assert report.ok
    assert report.counts["names that are no SHA-1"] == 1
    os.truncate(folder / "train/own-1.tif", 20_000)
    assert found(folder) == {("truncated", "own-1")}


def test_reversed_channels_are_named_as_what_they_are(folder):
    reverse_channels(folder, victims(folder)[0])
    (finding,) = audit_patches(folder, progress=False).findings
    assert finding.detail.startswith("channels reversed")


def test_wrong_pixels_are_named_by_their_own_digest(folder):
    name = victims(folder)[0]
    write_plain(folder / f"train/{name}.tif", patch(99))
    (finding,) = audit_patches(folder, progress=False).findings
    assert sha1(patch(99)) in finding.detail


def test_a_label_written_as_a_decimal_is_valid(folder):
    edit(folder / "train_labels.csv", victims(folder)[0], lambda line: [f"{line}.0"])
    report = audit_patches(folder, progress=False)
    assert report.ok
    assert report.counts["label 0"] + report.counts["label 1"] == N_TRAIN


def test_patches_in_another_format_of_tif_are_audited_too(folder):
    path = folder / f"train/{victims(folder)[0]}.tif"
    cv2.imwrite(str(path), cv2.imread(str(path)))  # OpenCV compresses the file.
    assert audit_patches(folder, progress=False).ok


def test_a_folder_without_test_patches_and_other_tables_is_ok(folder):
    shutil.rmtree(folder / "test")
    (folder / "slides.csv").unlink()
    (folder / "sample_submission.csv").unlink()
    assert audit_patches(folder, progress=False).ok


@pytest.mark.parametrize("name", ["train", "train_labels.csv"])
def test_a_folder_of_another_layout_is_an_error_that_names_what_is_missing(folder, name):
    (folder / name).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"has no {name};.*train/<id>.tif"):
        audit_patches(folder, progress=False)


@pytest.mark.parametrize("text", ["", "name,class\na,0\n", "id,label\na,0,1,2\n"])
def test_a_damaged_table_is_an_error_that_names_the_file(folder, text):
    (folder / "train_labels.csv").write_text(text)
    with pytest.raises(ValueError, match=r"train_labels\.csv (has|cannot)"):
        audit_patches(folder, progress=False)


def test_the_frame_has_one_row_per_finding(folder):
    first, second = victims(folder)[:2]
    truncate(folder, first)
    add_a_stranger(folder, second)
    frame = audit_patches(folder, progress=False).to_frame()
    assert list(frame) == ["kind", "damage", "id", "path", "detail"]
    assert frame.set_index("kind")["damage"].to_dict() == {"truncated": True, "other file": False}
    assert f"train/{first}.tif" in set(frame["path"])


def test_the_frame_of_a_whole_folder_is_empty_and_has_the_same_columns(whole):
    frame = audit_patches(whole, progress=False).to_frame()
    assert frame.shape == (0, 5)


def test_the_summary_counts_every_kind_and_names_the_first_files(folder):
    for name in victims(folder)[:5]:
        truncate(folder, name)
    text = str(audit_patches(folder, progress=False))
    assert "truncated                       5" in text
    assert sum(f"train/{name}.tif:" in text for name in victims(folder)) == 3
    assert "and 2 more" in text
    assert text.endswith("Found damage.")


def test_nothing_in_the_folder_is_changed(folder):
    def state() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}

    before = state()
    audit_patches(folder, progress=False)
    assert state() == before


def test_the_progress_bar_counts_every_file(whole, capsys):
    audit_patches(whole)
    assert f"{N_TRAIN + N_TEST}/{N_TRAIN + N_TEST}" in capsys.readouterr().err


def test_opencv_is_as_talkative_as_before(folder):
    level = opencv_log.getLogLevel()
    truncate(folder, victims(folder)[0])
    audit_patches(folder, progress=False)
    assert opencv_log.getLogLevel() == level
