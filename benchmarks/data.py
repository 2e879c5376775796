"""Measure how fast patches are read, checked, converted and predicted, compared with bare reads.

    python benchmarks/data.py FOLDER [--sizes 1000 10000 200000] [--rounds 3] [--output CSV]

FOLDER is in Kaggle's layout. The script repeats its files, each with a few other border pixels,
until there are as many as the largest size. Smaller sizes link to the first of these files.

Each job has a floor: the least work that could give its result. In a round all jobs take turns,
each followed by its floor. The script prints the medians over the rounds and writes them to
benchmarks/results/data.csv, or to the file that you name. All files are in the system's cache.
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

# Bytes of Kaggle's files: the header, a row of 96 pixels, and all 96 rows.
HEADER, ROW, PATCH = 287, 288, 27_648
CENTER = (HEADER + 32 * ROW, 32 * ROW)
WHOLE = (HEADER, PATCH)
# Conversion and random access take long, so they use no more than this many patches.
AT_MOST = 4000
RESULTS = Path(__file__).parent / "results" / "data.csv"
Job = Callable[[], object]


def bare_reads(paths: list[str], offset: int, size: int) -> None:
    """Read the given bytes of each file, which is the fastest way to read files one by one."""
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
    """Read each file with OpenCV and copy its center."""
    for path in paths:
        cv2.imread(path)[32:64, 32:64].copy()


def read_in_batches(reader: PatchReader, paths: list[str]) -> None:
    """Read all files as a prediction does, which never holds all of them."""
    files = reader.transform(paths)
    for start in range(0, len(files), 256):
        files[start : start + 256]


def seconds(job: Job) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def make_files(source: Path, target: Path, n_files: int) -> pd.DataFrame:
    """Write different patches, named by the SHA-1 of their pixels; return their ids and labels."""
    labels = pd.read_csv(source / "train_labels.csv")
    (target / "train").mkdir(parents=True)
    rows = []
    for i in range(n_files):
        id_, label = labels.iloc[i % len(labels)]
        content = bytearray((source / "train" / f"{id_}.tif").read_bytes())
        # A number in the first pixels makes a repeated patch a different one.
        content[HEADER : HEADER + 4] = i.to_bytes(4)
        name = hashlib.sha1(content[HEADER:], usedforsecurity=False).hexdigest()
        (target / "train" / f"{name}.tif").write_bytes(content)
        rows.append((name, label))
    return pd.DataFrame(rows, columns=["id", "label"])


def link_files(source: Path, target: Path, labels: pd.DataFrame) -> None:
    """Make a folder in Kaggle's layout that links to the files of another folder."""
    (target / "train").mkdir(parents=True, exist_ok=True)
    for id_ in labels["id"]:
        if not (target / "train" / f"{id_}.tif").exists():
            os.link(source / "train" / f"{id_}.tif", target / "train" / f"{id_}.tif")
    labels.to_csv(target / "train_labels.csv", index=False)


def write_official(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the two HDF5 files of a split in the layout of the official files."""
    folder.mkdir()
    name = str(folder / "camelyonpatch_level_2_split_valid_{}.h5")
    with h5py.File(name.format("x"), "w") as file:
        file.create_dataset("x", data=images)
    with h5py.File(name.format("y"), "w") as file:
        file.create_dataset("y", data=labels.reshape(-1, 1, 1, 1))


def convert(h5_folder: Path) -> None:
    """Convert the split from the start, without the result of an earlier conversion."""
    for path in h5_folder.glob("*.npy*"):
        path.unlink()
    load_pcam(h5_folder, "valid", progress=False)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file in blocks of 1 MB and wait for the disk: the floor of a conversion."""
    with open(source, "rb") as read, open(target, "wb") as write:
        while block := read.read(2**20):
            write.write(block)
        write.flush()
        os.fsync(write.fileno())


def make_jobs(folder: Path, work: Path, paths: list[str], labels: np.ndarray) -> dict:
    """Return name -> (job, floor, description of the floor) for the patches of one folder."""
    images = PatchReader().fit_transform(paths[:AT_MOST])
    return {
        **reading_jobs(paths),
        "audit": (
            lambda: audit_patches(folder, progress=False),
            lambda: bare_hashes(paths),
            "os.pread + SHA-1",
        ),
        **conversion_jobs(work, len(paths), images, labels[:AT_MOST]),
        **prediction_jobs(paths, images, labels),
    }


def reading_jobs(paths: list[str]) -> dict:
    """Return the ways to read files, each with bare reads of the same bytes as its floor."""
    center = PatchReader(crop_size=32, in_memory=True)
    center_files = PatchReader(crop_size=32, in_memory=False)
    whole, whole_files = PatchReader(in_memory=True), PatchReader(in_memory=False)
    center_floor = (lambda: bare_reads(paths, *CENTER), "os.pread of 32 rows")
    whole_floor = (lambda: bare_reads(paths, *WHOLE), "os.pread of all pixels")
    return {
        "read center in batches": (lambda: read_in_batches(center_files, paths), *center_floor),
        "read center into one array": (lambda: center.transform(paths), *center_floor),
        "read center, cv2.imread + crop": (lambda: opencv_crops(paths), *center_floor),
        "read whole in batches": (lambda: read_in_batches(whole_files, paths), *whole_floor),
        "read whole into one array": (lambda: whole.transform(paths), *whole_floor),
        "read whole, cv2.imread": (lambda: opencv_images(paths), *whole_floor),
    }


def conversion_jobs(work: Path, size: int, images: np.ndarray, labels: np.ndarray) -> dict:
    """Return the conversion of an HDF5 file and random access to the result."""
    h5_folder, npy = work / f"h5-{size}", work / f"{size}.npy"
    write_official(h5_folder, images, labels)
    np.save(npy, images)
    x_file = next(h5_folder.glob("*_x.h5"))
    mapped = np.load(npy, mmap_mode="r")
    rows = np.random.default_rng(0).permutation(len(images))
    batches = [np.sort(rows[i : i + 32]) for i in range(0, len(rows), 32)]
    return {
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
    }


def prediction_jobs(paths: list[str], images: np.ndarray, labels: np.ndarray) -> dict:
    """Return the prediction from paths, compared with the prediction from memory."""
    pipeline = make_pcam_pipeline(
        network="notebook", epochs=1, validation_fraction=0, early_stopping=False, random_state=0
    ).fit(images[:1000], labels[:1000])
    return {
        "paths -> probabilities": (
            lambda: pipeline.predict_proba(paths),
            lambda: pipeline[1:].predict_proba(images),
            "4,000 patches in memory, per patch",
        ),
    }


def measure(size: int, jobs: dict, rounds: int) -> list[dict]:
    """Return one row per job, with its median time per patch over the rounds.

    All jobs take turns in each round, so a slow minute spoils one round instead of one job.
    """
    for job, floor, _ in jobs.values():
        job(), floor()  # The first call warms the caches.
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (job, floor, floor_name) in jobs.items():
            n_job = min(size, AT_MOST) if "4,000 at most" in name else size
            n_floor = min(size, AT_MOST) if "4,000" in name or "4,000" in floor_name else size
            times[name].append((seconds(job) / n_job, seconds(floor) / n_floor))
    return [make_row(name, size, jobs[name][2], taken) for name, taken in times.items()]


def measure_new_memory(size: int, rounds: int) -> dict:
    """Return the time of the first write to memory that has been free for some seconds."""
    times = []
    for _ in range(rounds):
        # A virtual machine returns free memory to its host after some seconds.
        time.sleep(10)
        first, again = (
            seconds(lambda: np.empty(size * 32 * 32 * 3, np.uint8).fill(1)) for _ in range(2)
        )
        times.append((first / size, again / size))
    return make_row("write centers to new memory", size, "the same, again at once", times)


def make_row(name: str, size: int, floor: str, times: list[tuple[float, float]]) -> dict:
    """Return and print the medians of a job and of its floor, given in seconds per patch."""
    job_median, floor_median = (statistics.median(taken) for taken in zip(*times, strict=True))
    print(f"{name:40s}{size:7d}{1e6 * job_median:10.1f} us", flush=True)
    return {
        "what": name,
        "files": size,
        "us_per_patch": round(1e6 * job_median, 2),
        "floor": floor,
        "floor_us_per_patch": round(1e6 * floor_median, 2),
        "ratio": round(statistics.median(job / floor for job, floor in times), 2),
    }


def measure_sizes(source: Path, work: Path, sizes: list[int], rounds: int) -> list[dict]:
    """Return the rows of all sizes; smaller sizes use the first files of the largest."""
    rows = []
    labels = make_files(source, work / "all", max(sizes))
    for size in sorted(sizes):
        folder = work / f"folder-{size}"
        link_files(work / "all", folder, labels[:size])
        with warnings.catch_warnings(action="ignore"):  # The files have no slides, on purpose.
            data = load_kaggle(folder)
            paths = data.paths.tolist()
            # New files must reach the disk before the clock runs, or writing them slows a job.
            bare_reads(paths, *WHOLE)
            os.sync()
            rows += measure(size, make_jobs(folder, work, paths, data.target), rounds)
        rows.append(measure_new_memory(size, rounds))
    return rows


def main() -> None:
    """Measure all sizes, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1000, 10000, 200000], help="numbers of files"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds per size (default: 3)")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="CSV file to write (default: results/data.csv)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        rows = measure_sizes(arguments.folder, Path(work), arguments.sizes, arguments.rounds)
    table = pd.DataFrame(rows).assign(machine=f"{os.cpu_count()} cores, {platform.machine()}")
    arguments.output.parent.mkdir(exist_ok=True)
    table.to_csv(arguments.output, index=False)
    print(table.drop(columns="machine").sort_values(["what", "files"]).to_string(index=False))


if __name__ == "__main__":
    main()
