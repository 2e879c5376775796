"""Kill `train` at random moments, and check that nothing is lost, half written or left over.

    python benchmarks/kills.py --kills 100 --seed 0 --output kills.csv
    python benchmarks/kills.py --kills 100 --seed 0 --resume --output kills_resume.csv

A process gets SIGKILL at a random moment, most of them while it trains, and the same command is run
again. About every third one is left alone until it reaches its end. Without --resume it replaces an
old run: after each kill the old or the new one must be whole under its name. With --resume it goes
on with the run that was killed. At the end nothing but the run may be there, with the weights of a
run that nobody killed. The table has a row per process.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

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
    start_training(folder / "undisturbed" / "run", options, overwrite=True).wait()
    longest = time.perf_counter() - start
    expected = weights_of(folder / "undisturbed" / "run")
    run, rows = folder / "killed" / "run", []
    if not arguments.resume:
        shutil.copytree(folder / "undisturbed", run.parent)  # A run to overwrite.
    while sum(row["killed"] for row in rows) < arguments.kills or rows[-1]["killed"]:
        enough = sum(row["killed"] for row in rows) >= arguments.kills
        # The imports take a good part of the time, and there is little to spoil meanwhile.
        wait = rng.uniform(rng.choice([0, 0.5]) * longest, longest)
        if enough or (rows and rows[-1]["killed"] and rng.random() < 1 / 3):
            wait = None
        process = start_training(
            run, options, resume=arguments.resume, overwrite=not arguments.resume
        )
        killed = kill_after(process, wait)
        fault = find_fault(
            run, expected, ended=not killed, exists=not (killed and arguments.resume)
        )
        if not killed and process.returncode:
            fault = f"exit code {process.returncode}: {log_of(run).read_text()[-500:]}"
        rows.append({"killed": killed, "killed_after_s": wait, **look(run), "fault": fault})
        print(f"{len(rows)}: {rows[-1]}", file=sys.stderr)
        if not killed and arguments.resume:
            shutil.rmtree(run)  # The next one starts from the beginning.
    return rows


def start_training(run, options, *, resume=False, overwrite=False):
    """Start a process that trains on synthetic patches."""
    run.parent.mkdir(exist_ok=True)
    flags = ["--resume"] * resume + ["--overwrite"] * overwrite
    command = [sys.executable, "-m", "pcam_sklearn", "train", "synthetic", "--output", str(run)]
    # A file, since a full pipe would stop the process.
    with open(log_of(run), "w") as log:
        return subprocess.Popen([*command, *options, *flags], stdout=log, stderr=log)


def log_of(run):
    """Return the path of what the last process for a run has printed."""
    return run.parent.with_suffix(".log")


def kill_after(process, seconds):
    """Kill a process after some seconds, and return whether it was still running."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


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
    except (OSError, ValueError) as error:
        return f"not whole: {error}"
    same = all(np.array_equal(a, b) for a, b in zip(weights, expected, strict=True))
    return None if same else "other weights"


def weights_of(run):
    """Return the weights of a run, which must be whole."""
    from pcam_sklearn.cli._run_model import load_model

    return load_model(run).estimator[-1].model_.get_weights()


if __name__ == "__main__":
    main()
