"""Files and folders are written as a whole or not at all."""

import contextlib
import hashlib
import os
import stat

import pytest

from pcam_sklearn import _files
from pcam_sklearn._files import atomic_folder, atomic_path, md5_of


def allow():
    """Let a folder be written, whatever is there."""


def refuse(folder):
    """Return a check that lets no folder be replaced."""

    def check():
        if folder.exists():
            raise FileExistsError(f"{folder} is there")

    return check


def test_the_written_file_takes_the_final_name(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with contextlib.suppress(KeyboardInterrupt), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_file_has_the_name_of_the_final_one_and_lies_beside_it(tmp_path):
    with atomic_path(tmp_path / "model.keras") as temporary:
        assert temporary.name == "model.keras"
        assert temporary.parents[2] == tmp_path
        temporary.touch()


def test_the_file_has_the_permissions_of_other_new_files(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_path(tmp_path / "new") as temporary:
        temporary.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "new")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o666, 0o755], ids=oct)
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(mode)
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_a_file_behind_a_link_keeps_its_permissions(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_nobody_else_can_read_what_replaces_a_file_while_it_is_written(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o600)
    with atomic_path(tmp_path / "a.txt") as temporary:
        assert stat.S_IMODE(temporary.parents[1].stat().st_mode) == 0o700
        temporary.write_text("new")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], ids=oct)
def test_a_new_file_and_a_new_folder_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
        with atomic_folder(tmp_path / "run", allow):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_that_is_replaced_keeps_its_permissions(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(_files, "_exchange", lambda *_: False)
    _fill(tmp_path / "run", "old.txt")
    (tmp_path / "run").chmod(0o700)
    with atomic_folder(tmp_path / "run", allow) as temporary:
        (temporary / "new.txt").touch()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert os.listdir(tmp_path / "run") == ["new.txt"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"),
        atomic_path(tmp_path / "nowhere" / "a.txt"),
    ):
        pytest.fail("the block must not be entered")


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), atomic_path(tmp_path):
        pytest.fail("the block must not be entered")


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="nothing was written for"),
        atomic_path(tmp_path / "a.txt"),
    ):
        pass


def test_the_filled_folder_takes_the_final_name(tmp_path):
    with atomic_folder(tmp_path / "run", allow) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a.txt").write_text("new")
        assert os.listdir(tmp_path) == [".run.partial"]
    assert (tmp_path / "run" / "inner" / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["run"]


def test_an_existing_folder_is_replaced_only_on_request(tmp_path):
    _fill(tmp_path / "run", "old.txt")
    with (
        pytest.raises(FileExistsError, match="run is there"),
        atomic_folder(tmp_path / "run", refuse(tmp_path / "run")),
    ):
        pytest.fail("the block must not be entered")
    with atomic_folder(tmp_path / "run", allow) as temporary:
        (temporary / "new.txt").touch()
    assert os.listdir(tmp_path / "run") == ["new.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path):
    _fill(tmp_path / "run", "old.txt")
    with (
        contextlib.suppress(KeyboardInterrupt),
        atomic_folder(tmp_path / "run", allow) as temporary,
    ):
        (temporary / "half.txt").touch()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path / "run") == ["old.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_folder_that_appears_during_the_block_is_kept(tmp_path):
    with (
        pytest.raises(FileExistsError, match="run is there"),
        atomic_folder(tmp_path / "run", refuse(tmp_path / "run")),
    ):
        _fill(tmp_path / "run", "theirs.txt")
    assert os.listdir(tmp_path / "run") == ["theirs.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path):
    _fill(tmp_path / "run", "old.txt")
    with (
        pytest.raises(FileNotFoundError),
        atomic_folder(tmp_path / "run", allow) as temporary,
    ):
        temporary.rmdir()
    assert os.listdir(tmp_path / "run") == ["old.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_link_to_a_folder_is_followed(tmp_path):
    _fill(tmp_path / "real", "old.txt")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link", allow) as temporary:
        (temporary / "new.txt").touch()
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == ["new.txt"]


def test_a_file_is_never_replaced_by_a_folder(tmp_path):
    (tmp_path / "a.txt").touch()
    with (
        pytest.raises(NotADirectoryError, match=r"a\.txt is a file; give the name of a folder"),
        atomic_folder(tmp_path / "a.txt", allow),
    ):
        pytest.fail("the block must not be entered")


def test_a_missing_parent_of_the_folder_is_an_error_that_names_it(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"),
        atomic_folder(tmp_path / "nowhere" / "run", allow),
    ):
        pytest.fail("the block must not be entered")


def test_the_md5_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert md5_of(tmp_path / "a") == hashlib.md5(b"abc" * 1_000_000).hexdigest()


def _fill(folder, name):
    folder.mkdir()
    (folder / name).touch()
