"""Damage run folders, and see what evaluate, predict and card make of them.

    python benchmarks/fuzz/runs.py --count 500 --seed 0 --output runs.csv

Each case copies the folder of a tiny run, damages it, and gives it to the three commands. In every
second case the manifest is written again, so that it vouches for the damage. The table has a row
per case and command, with one of these outcomes:

right                   the command ends with 0, and its numbers are those of the whole run
error that names it     it ends with 2, leaves no file, and names the file or the run folder
damage nobody can see   it ends with 0 with other numbers, from values that are allowed, and the
                        manifest vouches for them
anything else           another exit code or exception, an error without a name, a file left over

benchmarks/results/fuzz_runs.csv counts the rows of 520 cases of seed 0.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from click.testing import CliRunner

from pcam_sklearn.cli import main as command_line
from pcam_sklearn.cli._manifest import MANIFEST_FILE, write_manifest
from pcam_sklearn.datasets import make_patches

LONGEST_S = 1800
RIGHT, NAMED, UNSEEN, ELSE = (
    "right",
    "error that names it",
    "damage nobody can see",
    "anything else",
)
TINY = [
    *("--network", "notebook", "--crop-size", 20, "--epochs", 1, "--batch-size", 16),
    *("--augment", "none", "--rounds", 100, "--operating-point", "specificity=0.6"),
    *("--set", "cnnclassifier__filters=(2,2,4)", "--set", "cnnclassifier__dense_units=8"),
    *("--set", "cnnclassifier__metrics=()", "--set", "cnnclassifier__validation_fraction=0"),
    *("--set", "cnnclassifier__early_stopping=False"),
]
# The pickled model runs code, so only the manifest can tell damage in it.
READ = ["config.json", "evaluation.json", "split.csv", "predictions.csv"]
WRITTEN = [*READ, "model.joblib", MANIFEST_FILE]
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"}


def main(count=500, seed=0, output=None):
    """Run the cases, write the table if `output` is a path, and return it."""
    rows, start = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, data = make_run(Path(folder))
        expected = {name: judge_free(*work(name, run, data)) for name in COMMANDS}
        for case in range(count):
            rng = np.random.default_rng([seed, case])
            rows += [{"case": case, **row} for row in run_case(rng, run, data, expected, case)]
            if time.perf_counter() - start > LONGEST_S:
                print(f"stopped after {case + 1} of {count} cases, {LONGEST_S} s", file=sys.stderr)
                break
    table = pd.DataFrame(rows)
    if output is not None:
        table.to_csv(output, index=False)
    return table


def make_run(folder):
    """Write a folder in Kaggle's layout, train on it, and return the run and other patches."""
    train, other = (make_kaggle(folder / name, seed) for name, seed in (("train", 0), ("other", 1)))
    run = folder / "run"
    done = invoke("train", train, "--output", run, *TINY)
    if done.exit_code:
        sys.exit(done.output)
    return run, other


def make_kaggle(folder, seed):
    """Write 96 patches of twelve slides, and six to predict."""
    patches = make_patches(n_samples=102, n_slides=12, random_state=seed)
    rows = []
    for row, image in enumerate(patches.images):
        part, name = ("test" if row < 6 else "train"), f"patch{seed}{row:03}"
        (folder / part).mkdir(parents=True, exist_ok=True)
        path = folder / part / f"{name}.tif"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        if part == "train":
            rows.append((name, patches.target[row], f"{seed} {patches.groups[row]}"))
    table = pd.DataFrame(rows, columns=["id", "label", "slide"])
    table[["id", "label"]].to_csv(folder / "train_labels.csv", index=False)
    table[["id", "slide"]].to_csv(folder / "slides.csv", index=False)
    return folder


def invoke(*arguments):
    return CliRunner().invoke(command_line, [str(a) for a in arguments], env=ENVIRONMENT)


def evaluate(run, data, _):
    return invoke("evaluate", run, data, "--rounds", 100, "-q", "--json"), None


def predict(run, data, folder):
    output = folder / "output.csv"
    return invoke("predict", run, data, "--output", output, "-q", "--json"), output


def card(run, _, folder):
    output = folder / "output.md"
    return invoke("card", run, "--output", output, "-q", "--json"), output


COMMANDS = {"evaluate": evaluate, "predict": predict, "card": card}


def work(name, run, data):
    """Run a command; return its result, and the content of the files that it wrote by name."""
    with tempfile.TemporaryDirectory() as folder:
        result, _ = COMMANDS[name](run, data, Path(folder))
        written = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return result, written


def judge_free(result, written):
    """Collect the numbers of a command and the text that it wrote, without pictures and paths."""
    facts = json.loads(result.stdout) if result.exit_code == 0 else {}
    for name in ("model", "output"):
        facts.pop(name, None)
    text = {n: c for n, c in written.items() if not n.endswith(".png")}
    return facts, text


def run_case(rng, whole, data, expected, case):
    """Damage a copy of a run, and yield a row for each command."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(shutil.copytree(whole, Path(place) / "damaged run"))
        vouched = case % 2 == 1
        file = str(rng.choice(READ if vouched else WRITTEN))
        damages = list(DAMAGES if file.endswith((".json", ".csv")) else BYTES)
        damage = str(rng.choice(damages))
        changed = change(run / file, DAMAGES[damage], rng)
        if vouched:
            write_manifest(run)
        for name in COMMANDS:
            result, written = work(name, run, data)
            outcome = judge(result, written, run, file, expected[name], vouched and changed)
            said = " ".join(result.stderr.split()) if result.exit_code else ""
            said = said.replace(f"{place}/", "")
            yield {
                "command": name, "file": file, "damage": damage, "vouched": vouched,
                "outcome": outcome, "code": result.exit_code, "said": said,
                "exception": repr(result.exception) if outcome == ELSE else "",
            }  # fmt: skip


def change(path, damage, rng):
    """Damage a file and return whether it is another one now."""
    before = path.read_bytes()
    after = damage(bytearray(before), rng)
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    return after != before


def judge(result, written, run, file, expected, vouched):
    """Return the outcome of a command."""
    if result.exit_code == 0:
        if judge_free(result, written) == expected:
            return RIGHT
        return UNSEEN if vouched else ELSE
    # Messages are wrapped at the width of a terminal.
    said = "".join(result.stderr.split())
    named = file in said or "".join(str(run).split()) in said
    return NAMED if result.exit_code == 2 and named and not written else ELSE


def flip_bits(content, rng):
    for at in rng.integers(0, len(content), rng.integers(1, 6)):
        content[at] ^= 1 << rng.integers(8)
    return content


def overwrite(content, rng):
    at, n = rng.integers(0, len(content)), rng.integers(1, 40)
    content[at : at + n] = rng.bytes(n)
    return content


def cut(content, rng):
    return content[: rng.integers(0, len(content))]


def take_out(content, rng):
    at = rng.integers(0, len(content))
    del content[at : at + rng.integers(1, 200)]
    return content


def double(content, rng):
    at = rng.integers(0, len(content))
    n = rng.integers(1, 200)
    return content[: at + n] + content[at:]


def empty(content, rng):
    return b""


def remove(content, rng):
    return None


def other_encoding(content, rng):
    return content.decode(errors="replace").encode("utf-16")


def swap_lines(content, rng):
    lines = content.split(b"\n")
    one, two = rng.integers(0, len(lines), 2)
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def drop_lines(content, rng):
    lines = content.split(b"\n")
    at = rng.integers(0, len(lines))
    del lines[at : at + rng.integers(1, 5)]
    return b"\n".join(lines)


VALUES = ["", "nan", "NaN", "-1", "2", "1e400", "0.5", "null", "true", '"text"', "[]", "{}"]
VALUES += ["-Infinity", "1e309", "9" * 40, "\x00", '"', "\ufeff", "[" * 2000, "test", "training"]


def other_value(content, rng):
    """Write another value in place of a number or a word."""
    text = content.decode(errors="replace")
    found = list(re.finditer(r"[\w.+-]+", text))
    if not found:
        return content
    match = found[rng.integers(len(found))]
    value = VALUES[rng.integers(len(VALUES))]
    return (text[: match.start()] + value + text[match.end() :]).encode()


def other_key(content, rng):
    """Give a key of JSON, or a column, another name."""
    text = content.decode(errors="replace")
    found = list(re.finditer(r'"(\w+)":|^(\w+),|,(\w+)$', text, re.MULTILINE))
    if not found:
        return content
    match = found[rng.integers(len(found))]
    return (text[: match.start()] + match[0].upper() + text[match.end() :]).encode()


BYTES = {
    function.__name__.replace("_", " "): function
    for function in (flip_bits, overwrite, cut, take_out, double, empty, remove)
}
DAMAGES = BYTES | {
    function.__name__.replace("_", " "): function
    for function in (other_encoding, swap_lines, drop_lines, other_value, other_key)
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    outcomes = main(arguments.count, arguments.seed, arguments.output)
    print(outcomes["outcome"].value_counts().to_string())
    faults = outcomes[outcomes["outcome"] == ELSE]
    if len(faults):
        sys.exit(faults.to_string())
