"""Exit codes tell what happened, whatever becomes of stdin, stdout and stderr."""

import os
import subprocess
import sys

import pytest
from support.cli_runs import make_kaggle
from support.other_process import run_python, start_python

MODULE = [sys.executable, "-m", "pcam_sklearn"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a folder without damage."""
    return make_kaggle(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Return a folder with a damaged patch."""
    folder = make_kaggle(tmp_path_factory.mktemp("damaged"))
    next((folder / "train").iterdir()).write_bytes(b"damaged")
    return folder


def shell(command, *arguments, **options):
    """Run a line of shell, in which "$@" stands for the command, and return the process."""
    line = ["bash", "-c", command, "bash", *MODULE, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, **options)


CLOSED = {
    "stdout": '"$@" >&-',
    "stderr": '"$@" 2>&-',
    "all": '"$@" <&- >&- 2>&-',
    "stderr on a full disk": '"$@" 2>/dev/full',
    "stderr with a reader that left": '"$@" 2> >(exec true)',
}


@pytest.mark.slow
@pytest.mark.parametrize("command", CLOSED.values(), ids=CLOSED)
def test_a_stream_that_is_closed_is_no_damage(whole, command):
    assert shell(command, "check", whole).returncode == 0


@pytest.mark.slow
def test_damage_is_told_by_the_exit_code_alone(damaged):
    assert shell(CLOSED["all"], "check", damaged).returncode == 1


@pytest.mark.slow
def test_a_reader_that_left_is_no_damage(whole):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        process = subprocess.run([*MODULE, "check", str(whole)], stdout=broken, stderr=-1)
    assert process.returncode == 141
    assert b"Traceback" not in process.stderr
    assert b"BrokenPipe" not in process.stderr


@pytest.mark.slow
def test_no_file_gets_the_number_of_a_closed_stderr(tmp_path):
    code = (
        "import os, sys; from pcam_sklearn._streams import prepare_streams; prepare_streams(); "
        f"file = open({str(tmp_path / 'a')!r}, 'w'); os.write(2, b'noise'); print('note', "
        "file=sys.stderr, flush=True); file.write(str(file.fileno() > 2))"
    )
    subprocess.run(["bash", "-c", '"$@" <&- >&- 2>&-', "bash", sys.executable, "-c", code])
    assert (tmp_path / "a").read_text() == "True"


def start(code):
    """Run code, then the module, and return exit code and errors."""
    code += "; import runpy; runpy.run_module('pcam_sklearn', run_name='__main__')"
    with start_python("-c", code) as process:
        _, errors = process.communicate()
    return process.returncode, errors


HOOK = (
    "import sys; "
    "Hook = type('Hook', (), {{'find_spec': staticmethod(lambda name, *_: "
    "exec('raise {error}') if name == {name!r} else None)}}); "
    "sys.meta_path.insert(0, Hook)"
)


@pytest.mark.parametrize("name", ["pcam_sklearn._streams", "pcam_sklearn.cli", "click"])
def test_an_interrupt_while_modules_are_imported_shows_no_traceback(name):
    code, errors = start(HOOK.format(error="KeyboardInterrupt", name=name))
    assert (code, errors) == (130, "")


def test_a_fault_of_the_program_is_not_the_exit_code_of_damage():
    code, errors = start(HOOK.format(error="RuntimeError", name="click"))
    assert code == 70
    assert "RuntimeError" in errors


def test_an_interrupt_between_options_and_command_has_its_exit_code():
    patch = (
        "import click; make = click.Group.make_context; "
        "click.Group.make_context = lambda *a, **k: exec('raise KeyboardInterrupt')"
    )
    code, errors = start(f"import sys; sys.argv = ['x', 'check', '.']; {patch}")
    assert code == 130
    assert "Traceback" not in errors


def test_the_module_that_waits_for_interrupts_is_there_before_all_slow_ones():
    code = "import sys, pcam_sklearn.__main__; print(*sys.modules)"
    loaded = run_python("-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}")[0]
    assert not {"click", "traceback", "importlib.metadata", "numpy"} & set(loaded.split())
