"""Run the tests in clean environments, from the oldest supported versions to the newest.

    python benchmarks/versions.py [--only NAME ...] [--slow | --all] [--torch "torch==2.13.0+cpu"]
    python benchmarks/versions.py --table

Each environment gets its own folder, the package with its extras and the test tools, all by pip.
The oldest one has exactly the lower bounds of pyproject.toml. Some get PyTorch too, if --torch says
which one: for Linux, PyPI has only builds for CUDA, of gigabytes. By default the tests run that are
not slow; --slow runs some of the slow ones, and --all runs everything. The results replace those of
the same environment in benchmarks/results/versions.csv, or in the file that you name. --table
prints the table for README.md and runs nothing. An environment is left out, with a message, if
there is no such Python on PATH, if pip finds no such versions, or if its backend is not installed.
"""

import argparse
import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "versions.csv"
OWN_TESTS = "tests/project/test_versions.py"
EXTRAS = ("onnx", "dask")
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "cloudpickle")
PACKAGES = (
    "scikit-learn", "scikeras", "keras", "tensorflow", "jax", "torch", "numpy", "scipy", "pandas",
    "h5py", "opencv-python-headless", "matplotlib", "joblib", "click", "tqdm", "onnx",
    "onnxruntime", "tf2onnx", "dask",
)  # fmt: skip
SHOWN = {
    "scikit-learn": "scikit-learn", "keras": "Keras", "tensorflow": "TensorFlow", "jax": "JAX",
    "torch": "PyTorch", "numpy": "NumPy", "pandas": "pandas", "opencv-python-headless": "OpenCV",
}  # fmt: skip
# The slow tests of what depends most on the versions of others.
SLOW_FILES = (
    "tests/training/test_saving.py", "tests/training/test_own_parts.py",
    "tests/training/test_backends.py", "tests/cli/test_train.py",
)  # fmt: skip
SELECTIONS = {
    "not slow": ("-m", "not slow"),
    "some slow": ("-m", "slow", *SLOW_FILES),
    "all": (),
}
COLUMNS = ("environment", "backend", "python", *PACKAGES, "tests", "passed", "failed", "skipped",
           "command")  # fmt: skip


class Environment(NamedTuple):
    """A Python, what pip is asked for besides the package, and the backend of Keras."""

    python: str
    requirements: tuple[str, ...] = ()
    oldest: bool = False
    torch: bool = False
    backend: str = "tensorflow"


OLDEST = Environment("3.11", ("jax==0.5.3",), oldest=True, torch=True)
NEWEST = Environment("3.11", ("jax",), torch=True)
ENVIRONMENTS = {
    "oldest": OLDEST,
    "scikit-learn 1.7": Environment("3.11", ("scikit-learn==1.7.*",)),
    "scikit-learn 1.8": Environment("3.11", ("scikit-learn==1.8.*",)),
    "newest": NEWEST,
    "newest, Python 3.13": Environment("3.13", ("jax",)),
    "oldest, on JAX": OLDEST._replace(backend="jax"),
    "newest, on JAX": NEWEST._replace(backend="jax"),
    "oldest, on PyTorch": OLDEST._replace(backend="torch"),
    "newest, on PyTorch": NEWEST._replace(backend="torch"),
}


def main() -> None:
    """Run the tests in each environment, and write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--slow", dest="tests", action="store_const", const="some slow")
    which.add_argument("--all", dest="tests", action="store_const", const="all")
    parser.add_argument("--torch", help="what pip is asked for where PyTorch takes part")
    parser.add_argument("--processes", type=int, default=2, help="for pytest (default: 2)")
    parser.add_argument("--folder", type=Path, help="keeps the environments for the next time")
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file to write")
    parser.add_argument("--table", action="store_true", help="print the table, and run nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.folder or Path(temporary)).resolve()
            for name in arguments.only:
                add_row(name, folder, arguments)
    print(to_markdown(read_rows(arguments.output)))


def add_row(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Run the tests in one environment, and put the result into the table."""
    python = make_environment(ENVIRONMENTS[name], folder, arguments.torch)
    if python is None:
        print(f"{name}: left out", file=sys.stderr)
        return
    tests = arguments.tests or "not slow"
    row = {
        "environment": name,
        "backend": ENVIRONMENTS[name].backend,
        **installed_versions(python),
        "tests": tests,
        **run_tests(python, name, tests, arguments.processes, folder),
    }
    # Other results may have been written in the meantime, so the table is read only now.
    rows = [
        other
        for other in read_rows(arguments.output)
        if (other["environment"], other["tests"]) != (name, tests)
    ]
    write_rows(arguments.output, [*rows, row])


def make_environment(environment: Environment, folder: Path, torch: str | None) -> Path | None:
    """Return the Python of a new environment, or of one with the same content, or None."""
    base = shutil.which(f"python{environment.python}")
    if base is None or subprocess.run([base, "-V"], capture_output=True).returncode:
        print(f"there is no Python {environment.python} on PATH", file=sys.stderr)
        return None
    if environment.backend == "torch" and not torch:
        print("pass --torch to run the tests on PyTorch", file=sys.stderr)
        return None
    requirements = [*environment.requirements, *([torch] if environment.torch and torch else [])]
    wanted = " ".join([environment.python, "oldest" * environment.oldest, *requirements])
    place = folder / re.sub(r"[^\w.]+", "-", wanted)
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    subprocess.run([base, "-m", "venv", "--clear", place], check=True)
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(lower_bounds() if environment.oldest else ()))
    command = [python, "-m", "pip", "install", "--quiet", "--constraint", constraints]
    if subprocess.run(
        [*command, "-e", f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS, *requirements]
    ).returncode:
        return None
    (place / "complete").touch()
    return python


def lower_bounds() -> list[str]:
    """Return a constraint for each lower bound in pyproject.toml that an environment installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    extras = [line for extra in EXTRAS for line in optional[extra]]
    tools = [line for line in optional["dev"] if name_of(line) in TOOLS]
    found = [
        re.match(r"[\w-]+>=([\w.]+)", line) for line in project["dependencies"] + extras + tools
    ]
    return [match[0].replace(">=", "==") for match in found if match]


def name_of(requirement: str) -> str:
    """Return the name of the package that a requirement names."""
    return re.split(r"[^\w-]", requirement)[0]


def installed_versions(python: Path) -> dict[str, str]:
    """Return the versions of Python and of the main packages; empty if one is not there."""
    command = [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    versions = dict(line.split("==", 1) for line in output.splitlines() if "==" in line)
    version = subprocess.run([python, "-V"], check=True, capture_output=True, text=True).stdout
    return {"python": version.split()[1], **{name: versions.get(name, "") for name in PACKAGES}}


def run_tests(python: Path, name: str, tests: str, processes: int, folder: Path) -> dict[str, str]:
    """Run the tests, and return how many passed, failed and were skipped, and the command."""
    backend = ENVIRONMENTS[name].backend
    # Those that compare the table with the README would fail until it is written.
    options = ["-n", str(processes), "-q", "--ignore", OWN_TESTS, *SELECTIONS[tests]]
    report = folder / "report.xml"
    command = [python, "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider", *options]
    variables = {"KERAS_BACKEND": backend, "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # The tests start the command of the package, which stands beside Python.
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    report.unlink(missing_ok=True)
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables, "PATH": path})
    suite = ET.parse(report).getroot().find("testsuite")
    total, failed, errors, skipped = (
        int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")
    )
    return {
        "passed": str(total - failed - errors - skipped),
        "failed": str(failed + errors),
        "skipped": str(skipped),
        "command": f"KERAS_BACKEND={backend} pytest {shlex.join(options)}",
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of the table, or none if there is no table."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the table, in the order in which this module names environments and tests."""
    names, selections = list(ENVIRONMENTS), list(SELECTIONS)
    rows.sort(key=lambda row: (names.index(row["environment"]), selections.index(row["tests"])))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def to_markdown(rows: list[dict[str, str]]) -> str:
    """Return the table of the README: a line for each environment, and what its tests gave."""
    selections = [tests for tests in SELECTIONS if any(row["tests"] == tests for row in rows)]
    header = ["environment", "Python", *SHOWN.values(), *(f"tests: {name}" for name in selections)]
    lines = [header, ["---"] * len(header)]
    for name in dict.fromkeys(row["environment"] for row in rows):
        results = {row["tests"]: row for row in rows if row["environment"] == name}
        first = next(iter(results.values()))
        versions = [first["python"], *(shown(results, package) for package in SHOWN)]
        lines.append([name, *versions, *(summary(results.get(tests)) for tests in selections)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(results: dict[str, dict[str, str]], package: str) -> str:
    """Return the version of a package, if the tests of an environment made use of it."""
    # Tests that are not slow run on one backend alone.
    used = [
        row[package]
        for tests, row in results.items()
        if package not in ("jax", "torch") or tests != "not slow" or row["backend"] == package
    ]
    return (used or [""])[-1] or "-"


def summary(row: dict[str, str] | None) -> str:
    """Return the result of one run of tests in words."""
    if row is None:
        return "-"
    counts = [(row[name], name) for name in ("passed", "failed", "skipped")]
    return ", ".join(f"{count} {name}" for count, name in counts if count != "0")


if __name__ == "__main__":
    main()
