"""How fast patches are read, checked, converted and predicted, as ratios to their floors.

    python benchmarks/data.py FOLDER [--sizes 1000 10000 200000] [--rounds 3] [--output CSV]

FOLDER is in Kaggle's layout. Its files are repeated, each with a few border pixels of its own,
until there are as many as the largest size; smaller sizes are links to the first of them. In a
round all rows take turns, each beside its floor; the medians over the rounds are printed and
written to benchmarks/results/data.csv, or another file. Everything is warm, in the system's file
cache.
"""

import argparse
import hashlib
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd

from pcam_sklearn import PatchReader, make_pcam_pipeline
from pcam_sklearn.datasets import audit_patches, load_kaggle, load_pcam

HEADER, ROW, PATCH = 287, 288, 27_648
RESULTS = Path(__file__).parent / "results" / "data.csv"


def bare_reads(paths: list[str], offset: int, size: int) -> None:
    """Read the same bytes of each file: nothing can be faster, file by file."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.pread(descriptor, size, offset)
        os.close(descriptor)


def bare_hashes(paths: list[str]) -> None:
    """Read and hash the pixels of each file."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        hashlib.sha1(os.pread(descriptor, PATCH, HEADER), usedforsecurity=False).hexdigest()
        os.close(descriptor)


def opencv_images(paths: list[str]) -> None:
    """Read each file with OpenCV."""
    for path in paths:
        cv2.imread(path)


def opencv_crops(paths: list[str]) -> None:
    """Read each file with OpenCV and keep the center."""
    for path in paths:
        cv2.imread(path)[32:64, 32:64].copy()


def read_in_batches(reader: PatchReader, paths: list[str]) -> None:
    """Read all files as a prediction does, which never holds them all."""
    files = reader.transform(paths)
    for start in range(0, len(files), 256):
        files[start : start + 256]


def seconds(job: Callable[[], object]) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def make_files(source: Path, target: Path, n_files: int) -> pd.DataFrame:
    """Write n different patches, named by the SHA-1 of their pixels, and return ids and labels."""
    labels = pd.read_csv(source / "train_labels.csv")
    (target / "train").mkdir(parents=True)
    rows = []
    for i in range(n_files):
        id_, label = labels.iloc[i % len(labels)]
        content = bytearray((source / "train" / f"{id_}.tif").read_bytes())
        content[HEADER : HEADER + 4] = i.to_bytes(4)
        name = hashlib.sha1(content[HEADER:], usedforsecurity=False).hexdigest()
        (target / "train" / f"{name}.tif").write_bytes(content)
        rows.append((name, label))
    return pd.DataFrame(rows, columns=["id", "label"])


def link_files(source: Path, target: Path, labels: pd.DataFrame) -> None:
    """Make a folder in Kaggle's layout of links to files of another."""
    (target / "train").mkdir(parents=True, exist_ok=True)
    for id_ in labels["id"]:
        if not (target / "train" / f"{id_}.tif").exists():
            os.link(source / "train" / f"{id_}.tif", target / "train" / f"{id_}.tif")
    labels.to_csv(target / "train_labels.csv", index=False)


def write_official(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the two HDF5 files of a split, laid out as the official ones."""
    folder.mkdir()
    name = str(folder / "camelyonpatch_level_2_split_valid_{}.h5")
    with h5py.File(name.format("x"), "w") as file:
        file.create_dataset("x", data=images)
    with h5py.File(name.format("y"), "w") as file:
        file.create_dataset("y", data=labels.reshape(-1, 1, 1, 1))


def convert(h5_folder: Path) -> None:
    """Convert the split, from the start."""
    for path in h5_folder.glob("*.npy*"):
        path.unlink()
    load_pcam(h5_folder, "valid", progress=False)


def copy_file(source: Path, target: Path) -> None:
    """Copy by blocks of 1 MB and bring them to the disk: the floor of a conversion."""
    with open(source, "rb") as read, open(target, "wb") as write:
        while block := read.read(2**20):
            write.write(block)
        write.flush()
        os.fsync(write.fileno())


def jobs(folder: Path, work: Path, paths: list[str], labels: np.ndarray) -> dict:
    """Return name -> (job, floor, what the floor is) for the patches of one folder."""
    images = PatchReader().fit_transform(paths[:4000])
    h5_folder, npy = work / f"h5-{len(paths)}", work / f"{len(paths)}.npy"
    write_official(h5_folder, images, labels[:4000])
    np.save(npy, images)
    rows = np.random.default_rng(0).permutation(len(images))
    batches = [np.sort(rows[i : i + 32]) for i in range(0, len(rows), 32)]
    mapped = np.load(npy, mmap_mode="r")
    pipeline = make_pcam_pipeline(
        network="notebook", epochs=1, validation_fraction=0, early_stopping=False, random_state=0
    ).fit(images[:1000], labels[:1000])
    center = PatchReader(crop_size=32, in_memory=True)
    whole = PatchReader(in_memory=True)
    center_files = PatchReader(crop_size=32, in_memory=False)
    whole_files = PatchReader(in_memory=False)
    x_file = next(h5_folder.glob("*_x.h5"))
    return {
        "read center in batches": (
            lambda: read_in_batches(center_files, paths),
            lambda: bare_reads(paths, HEADER + 32 * ROW, 32 * ROW),
            "os.pread of 32 rows",
        ),
        "read center into one array": (
            lambda: center.transform(paths),
            lambda: bare_reads(paths, HEADER + 32 * ROW, 32 * ROW),
            "os.pread of 32 rows",
        ),
        "read center, cv2.imread + crop": (
            lambda: opencv_crops(paths),
            lambda: bare_reads(paths, HEADER + 32 * ROW, 32 * ROW),
            "os.pread of 32 rows",
        ),
        "read whole in batches": (
            lambda: read_in_batches(whole_files, paths),
            lambda: bare_reads(paths, HEADER, PATCH),
            "os.pread of all pixels",
        ),
        "read whole into one array": (
            lambda: whole.transform(paths),
            lambda: bare_reads(paths, HEADER, PATCH),
            "os.pread of all pixels",
        ),
        "read whole, cv2.imread": (
            lambda: opencv_images(paths),
            lambda: bare_reads(paths, HEADER, PATCH),
            "os.pread of all pixels",
        ),
        "audit": (
            lambda: audit_patches(folder, progress=False),
            lambda: bare_hashes(paths),
            "os.pread + SHA-1",
        ),
        "h5 -> npy (4,000 at most)": (
            lambda: convert(h5_folder),
            lambda: copy_file(x_file, work / "copy"),
            "copy of the file, synced",
        ),
        "memmap batches of 32 (4,000 at most)": (
            lambda: [mapped[batch] for batch in batches],
            lambda: [images[batch] for batch in batches],
            "the same from memory",
        ),
        "paths -> probabilities": (
            lambda: pipeline.predict_proba(paths),
            lambda: pipeline[1:].predict_proba(images),
            "4,000 patches in memory, per patch",
        ),
    }


def measure(size: int, table: dict, rounds: int) -> list[dict]:
    """Return one row for each job: medians over the rounds, in microseconds a patch.

    A round is all jobs in turn, so that a slow minute is one round's and not one job's.
    """
    for job, floor, _ in table.values():
        job(), floor()
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, (job, floor, what) in table.items():
            n_job = min(size, 4000) if "4,000 at most" in name else size
            n_floor = min(size, 4000) if "4,000" in name or "4,000" in what else size
            pairs[name].append((seconds(job) / n_job, seconds(floor) / n_floor))
    return [row(name, size, table[name][2], taken) for name, taken in pairs.items()]


def new_memory(size: int, rounds: int) -> dict:
    """Return what the first write costs to memory that has been free for some seconds.

    A machine that lends free memory to others has to get it back then.
    """
    pairs = []
    for _ in range(rounds):
        time.sleep(10)
        first, again = (
            seconds(lambda: np.empty(size * 32 * 32 * 3, np.uint8).fill(1)) for _ in range(2)
        )
        pairs.append((first / size, again / size))
    return row("write centers to new memory", size, "the same, again at once", pairs)


def row(name: str, size: int, floor: str, pairs: list[tuple[float, float]]) -> dict:
    """Return and print the medians of what a job and its floor took, in seconds a patch."""
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    print(f"{name:40s}{size:7d}{1e6 * medians[0]:10.1f} us", flush=True)
    return {
        "what": name,
        "files": size,
        "us_per_patch": round(1e6 * medians[0], 2),
        "floor": floor,
        "floor_us_per_patch": round(1e6 * medians[1], 2),
        "ratio": round(statistics.median(a / b for a, b in pairs), 2),
    }


def main() -> None:
    """Measure all sizes, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000, 200000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        labels = make_files(arguments.folder, work / "all", max(arguments.sizes))
        for size in sorted(arguments.sizes):
            folder = work / f"folder-{size}"
            link_files(work / "all", folder, labels[:size])
            with warnings.catch_warnings(action="ignore"):  # There are no slides, on purpose.
                data = load_kaggle(folder)
                paths = data.paths.tolist()
                # What is new on the disk is written before anything is timed.
                bare_reads(paths, HEADER, PATCH)
                os.sync()
                table = jobs(folder, work, paths, data.target)
                rows += measure(size, table, arguments.rounds)
            rows.append(new_memory(size, arguments.rounds))
    frame = pd.DataFrame(rows).assign(machine=f"{os.cpu_count()} cores, {platform.machine()}")
    arguments.output.parent.mkdir(exist_ok=True)
    frame.to_csv(arguments.output, index=False)
    print(frame.drop(columns="machine").sort_values(["what", "files"]).to_string(index=False))


if __name__ == "__main__":
    main()
