"""Kill `train` at random moments, and check that nothing is lost, half written or left over.

    python benchmarks/kills.py --kills 100 --seed 0 --output kills.csv
    python benchmarks/kills.py --kills 100 --seed 0 --resume --output kills_resume.csv

A process gets SIGKILL at a random moment, and the same command is run again. About every third one
is left alone until it reaches its end. Without --resume it replaces an old run: after each kill the
old or the new one must be whole under its name. With --resume it goes on with the run that was
killed. At the end nothing but the run may be there, with the weights of a run that nobody killed.
The table has a row per process.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from pcam_sklearn.cli import _training_run  # noqa: F401  Imported for the forks.
from pcam_sklearn.cli import main as main_of_cli
from pcam_sklearn.cli._run_model import find_run

TINY = (
    "--network notebook --crop-size 20 --epochs {epochs} --batch-size 16 --augment none "
    "--rounds 100 --set cnnclassifier__filters=(2,2,4) --set cnnclassifier__dense_units=8 "
    "--set cnnclassifier__metrics=()"
)


def main():
    """Kill as often as asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = kill_often(Path(folder), arguments)
        table = pd.DataFrame(rows)
        table.to_csv(arguments.output, index=False)
    print(table.drop(columns=["killed_after_s"]).value_counts(dropna=False).to_string())
    print(f"{table['killed'].sum()} kills, {len(table) - table['killed'].sum()} runs that ended")
    if table["fault"].notna().any():
        sys.exit(f"faults:\n{table[table['fault'].notna()].to_string()}")


def kill_often(folder, arguments):
    """Return a row for each process that was started."""
    rng = np.random.default_rng(arguments.seed)
    options = TINY.format(epochs=arguments.epochs).split()
    start = time.perf_counter()
    start_training(folder / "undisturbed" / "run", options, overwrite=True).join()
    longest = time.perf_counter() - start
    expected = weights_of(folder / "undisturbed" / "run")
    run, rows = folder / "killed" / "run", []
    if not arguments.resume:
        shutil.copytree(folder / "undisturbed", run.parent)  # A run to overwrite.
    while sum(row["killed"] for row in rows) < arguments.kills or rows[-1]["killed"]:
        enough = sum(row["killed"] for row in rows) >= arguments.kills
        wait = rng.uniform(0, longest)
        if enough or (rows and rows[-1]["killed"] and rng.random() < 1 / 3):
            wait = None
        process = start_training(
            run, options, resume=arguments.resume, overwrite=not arguments.resume
        )
        killed = kill_after(process, wait)
        fault = find_fault(
            run, expected, ended=not killed, exists=not (killed and arguments.resume)
        )
        if not killed and process.exitcode:
            fault = f"exit code {process.exitcode}: {log_of(run).read_text()[-500:]}"
        rows.append({"killed": killed, "killed_after_s": wait, **look(run), "fault": fault})
        print(f"{len(rows)}: {rows[-1]}", file=sys.stderr)
        if not killed and arguments.resume:
            shutil.rmtree(run)  # The next one starts from the beginning.
    return rows


def start_training(run, options, *, resume=False, overwrite=False):
    """Start a process that trains on synthetic patches.

    It is a fork of this one, which has imported everything and computed nothing. So hardly any of
    its time goes into imports, in which there is nothing to spoil.
    """
    run.parent.mkdir(exist_ok=True)
    flags = ["--resume"] * resume + ["--overwrite"] * overwrite
    arguments = ["train", "synthetic", "--output", str(run), *options, *flags]
    process = multiprocessing.get_context("fork").Process(
        target=train, args=(arguments, log_of(run))
    )
    process.start()
    return process


def train(arguments, log):
    """Run the command line in this process, and leave what it prints in a file."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main_of_cli(arguments)


def log_of(run):
    """Return the path of what the last process for a run has printed."""
    return run.parent.with_suffix(".log")


def kill_after(process, seconds):
    """Kill a process after some seconds, and return whether it was still running."""
    process.join(seconds)
    if process.exitcode is not None:
        return False
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def look(run):
    """Return whether there is a run, a run in progress, and a checkpoint."""
    partial = run.parent / f".{run.name}.partial"
    return {
        "run": run.exists(),
        "in_progress": partial.exists(),
        "checkpoint": (partial / "checkpoint").exists(),
    }


def find_fault(run, expected, *, ended, exists):
    """Return a description of the first fault after a process, or None."""
    names = set(os.listdir(run.parent))
    allowed = {run.name} if ended else {run.name, f".{run.name}.partial"}
    if names - allowed:
        return f"left over: {sorted(names - allowed)}"
    if not run.exists():
        return "no run" if exists else None
    try:
        weights = weights_of(run)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return f"not whole: {error}"
    return None if weights == expected else "other weights"


def weights_of(run):
    """Return the bytes of the weights of a run, which must be whole."""
    find_run(run)
    with zipfile.ZipFile(run / "model.pcam") as file:
        return file.read("weights.safetensors")


if __name__ == "__main__":
    main()
