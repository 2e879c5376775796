"""Leftovers of killed processes are removed, and the files of living ones are not touched."""

import fcntl
import os
import signal

import pytest
from support.other_process import start_python

from pcam_sklearn import _files, _workspaces
from pcam_sklearn._files import atomic_folder, atomic_path
from pcam_sklearn._workspaces import workspace

WRITE_A_FILE = """
import sys
from pcam_sklearn._files import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_text("half")
    print("half", flush=True)
    sys.stdin.readline()
"""
WRITE_A_FOLDER = WRITE_A_FILE.replace(
    "atomic_path(sys.argv[1])", "atomic_folder(sys.argv[1], list)"
)
WRITE_A_FOLDER = WRITE_A_FOLDER.replace("import atomic_path", "import atomic_folder").replace(
    "path.write_text", "(path / 'a.txt').write_text"
)
# No exchange in one step, and a kill between the two steps that stand in for it.
KILL_WHILE_REPLACING = """
import os, signal, sys
from pathlib import Path
from pcam_sklearn import _files
rename = Path.rename
def rename_and_die(path, target):
    rename(path, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename_and_die
_files._exchange = lambda new, final: False
with _files.atomic_folder(sys.argv[1], list) as folder:
    (folder / "a.txt").write_text("new")
"""


@pytest.fixture
def start():
    """Return a function that starts a process and waits until it has written half."""
    started = []

    def start(code, path):
        process = start_python("-c", code, str(path))
        started.append(process)
        assert process.stdout.readline() == "half\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    process.kill()
    process.wait()


def write(path, text="new"):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def test_what_a_killed_process_left_of_a_file_is_removed_by_the_next(tmp_path, start):
    kill(start(WRITE_A_FILE, tmp_path / "a.txt"))
    assert len(os.listdir(tmp_path)) == 1
    write(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_of_a_folder_is_removed_by_the_next(tmp_path, start):
    kill(start(WRITE_A_FOLDER, tmp_path / "run"))
    assert os.listdir(tmp_path) == [".run.partial"]
    with atomic_folder(tmp_path / "run", list) as folder:
        (folder / "b.txt").touch()
    assert os.listdir(tmp_path) == ["run"]
    assert os.listdir(tmp_path / "run") == ["b.txt"]


def test_the_file_of_a_living_process_is_not_touched(tmp_path, start):
    living = start(WRITE_A_FILE, tmp_path / "a.txt")
    write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "new"
    living.communicate("\n")
    assert (tmp_path / "a.txt").read_text() == "half"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_a_living_process_writes_is_refused_by_name(tmp_path, start):
    living = start(WRITE_A_FOLDER, tmp_path / "run")
    with (
        pytest.raises(BlockingIOError, match=r"another process is writing .*/run;"),
        atomic_folder(tmp_path / "run", list),
    ):
        pytest.fail("the block must not be entered")
    living.communicate("\n")
    assert (tmp_path / "run" / "a.txt").read_text() == "half"
    assert os.listdir(tmp_path) == ["run"]


def test_a_folder_is_written_by_one_thread_at_a_time(tmp_path):
    with (
        workspace(tmp_path / "run", alone=True),
        pytest.raises(BlockingIOError, match="another process is writing"),
        workspace(tmp_path / "run", alone=True),
    ):
        pytest.fail("the block must not be entered")


@pytest.mark.parametrize(
    "other", [".a.txt.partial-xy", ".a.txt.partial-0123456789", ".b.txt.partial-01234567", ".a.txt"]
)
def test_folders_of_other_names_stay(tmp_path, other):
    (tmp_path / other).mkdir()
    write(tmp_path / "a.txt")
    assert sorted(os.listdir(tmp_path)) == sorted([other, "a.txt"])


def test_a_folder_killed_before_its_lock_was_made_is_removed(tmp_path):
    (tmp_path / ".a.txt.partial-01234567").mkdir()
    write(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_of_that_name_without_a_lock_is_somebody_elses(tmp_path):
    for name in (".a.partial", ".a.partial-01234567"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter.txt").touch()
    write(tmp_path / "a")
    with (
        pytest.raises(OSError, match="is in the way"),
        workspace(tmp_path / "a", alone=True),
    ):
        pytest.fail("the block must not be entered")
    assert sorted(os.listdir(tmp_path)) == [".a.partial", ".a.partial-01234567", "a"]


def test_what_was_found_stays_until_it_is_cleared(tmp_path, start):
    kill(start(WRITE_A_FOLDER, tmp_path / "run"))
    with workspace(tmp_path / "run", alone=True):
        pass
    with workspace(tmp_path / "run", alone=True) as work:
        assert work.names() == {"new"}
        work.clear()
    assert os.listdir(tmp_path) == []


def test_where_there_are_no_locks_the_files_themselves_are_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with workspace(tmp_path / "run", alone=True) as work:
        with pytest.raises(BlockingIOError), workspace(tmp_path / "run", alone=True):
            pytest.fail("the block must not be entered")
        write(tmp_path / "a.txt")
        assert work.path.is_dir()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_lock_that_cannot_be_made_leaves_no_folder(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_workspaces, "_lock", refuse)
    with pytest.raises(OSError, match=r"a\.txt cannot be written"):
        write(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == []


def make_old(folder):
    folder.mkdir()
    (folder / "a.txt").write_text("old")


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_replaced_by_the_new_one(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(_files, "_exchange", lambda new, final: False)
    make_old(tmp_path / "run")
    with atomic_folder(tmp_path / "run", list) as folder:
        (folder / "b.txt").touch()
    assert os.listdir(tmp_path / "run") == ["b.txt"]
    assert os.listdir(tmp_path) == ["run"]


def test_two_folders_exchange_their_names_in_one_step_where_the_system_can(tmp_path):
    make_old(tmp_path / "old")
    (tmp_path / "new").mkdir()
    if not _files._exchange(tmp_path / "new", tmp_path / "old"):
        pytest.skip("this system, or its file system, cannot exchange two names")
    assert os.listdir(tmp_path / "new") == ["a.txt"]
    assert os.listdir(tmp_path / "old") == []


def test_a_replacement_killed_between_its_two_steps_is_finished_by_the_next_process(tmp_path):
    make_old(tmp_path / "run")
    with start_python("-c", KILL_WHILE_REPLACING, str(tmp_path / "run")) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".run.partial"]

    def look():
        assert (tmp_path / "run" / "a.txt").read_text() == "new"
        raise FileExistsError("it must stay")

    with (
        pytest.raises(FileExistsError, match="it must stay"),
        atomic_folder(tmp_path / "run", look),
    ):
        pytest.fail("the block must not be entered")
    assert (tmp_path / "run" / "a.txt").read_text() == "new"


def test_many_processes_may_write_one_file(tmp_path):
    code = (
        "import sys\n"
        "from pcam_sklearn._files import atomic_path\n"
        "for i in range(200):\n"
        "    with atomic_path(sys.argv[1]) as path:\n"
        "        path.write_text('whole')"
    )
    processes = [start_python("-c", code, str(tmp_path / "a.txt")) for _ in range(4)]
    errors = [process.communicate()[1] for process in processes]
    assert errors == [""] * 4
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"
