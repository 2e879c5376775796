"""Damage official HDF5 files, and what load_pcam keeps beside them, and see what becomes of it.

    python benchmarks/fuzz/h5.py --count 2000 --seed 0 --output h5.csv

Each case damages one file of a small folder of official files, and loads the folder again. The
table has a row per case, with one of these outcomes:

right                   patches, labels, ids, slides and coordinates are those before the damage
error that names it     a ValueError or OSError whose message holds the name of the damaged file
damage nobody can see   other values, which HDF5 itself reads from the file without an error, where
                        no MD5 is known; or another slide or coordinate in the meta file
anything else           another exception, an error without the name, values of no file, a process
                        that dies or hangs

In every second case the file counts as official, by its number of patches and its MD5. The cases
run in a process of their own, because a damaged file can end the process in the HDF5 library.
benchmarks/results/fuzz_h5.csv counts the cases of seed 0 by file, damage and outcome.
"""

import argparse
import gzip
import hashlib
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from pcam_sklearn.datasets import _official_h5 as checks
from pcam_sklearn.datasets import load_pcam, slides_from_official

N = 12
START = "camelyonpatch_level_2_split_train_"
X, Y, META = (START + name for name in ("x.h5", "y.h5", "meta.csv"))
BESIDE = [START + name for name in ("x.npy", "x.npy.json", "x.sha1.npy")]
PATIENCE_S = 30
LONGEST_S = 1800
RIGHT, NAMED, UNSEEN, ELSE = (
    "right",
    "error that names it",
    "damage nobody can see",
    "anything else",
)
STORED = {
    "contiguous": {},
    "chunked": {"chunks": (5, 96, 96, 3)},
    "chunked across": {"chunks": (5, 40, 96, 1)},
    "gzip": {"chunks": (5, 96, 96, 3), "compression": "gzip", "compression_opts": 1},
    "gzip, shuffled": {"chunks": True, "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (5, 96, 96, 3), "compression": "lzf"},
    "checksums": {"chunks": (5, 96, 96, 3), "fletcher32": True},
    "resizable": {"chunks": (5, 96, 96, 3), "maxshape": (None, 96, 96, 3)},
}
LIBRARIES = ["earliest", "v108", "v110", "latest"]


def main(count=2000, seed=0, output=None):
    """Run the cases, write the table if `output` is a path, and return it."""
    rows, start = [], time.perf_counter()
    with Worker(seed) as worker:
        for case in range(count):
            rows.append({"case": case, **worker.run(case)})
            if time.perf_counter() - start > LONGEST_S:
                print(f"stopped after {case + 1} of {count} cases, {LONGEST_S} s", file=sys.stderr)
                break
    table = pd.DataFrame(rows)
    if output is not None:
        table.to_csv(output, index=False)
    return table


class Worker:
    """A process that runs cases, and is started again if one ends it."""

    def __init__(self, seed):
        self.seed, self.process = seed, None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.pipe.send(None)
            self.process.join(PATIENCE_S)
        self.stop()
        self.folder.cleanup()

    def start(self):
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, Path(self.folder.name), self.seed)
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def stop(self):
        """End the process, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def run(self, case):
        """Return the row of a case."""
        if self.process is None:
            self.start()
        try:
            self.pipe.send(case)
            if self.pipe.poll(PATIENCE_S):
                return self.pipe.recv()
            said = f"no end after {PATIENCE_S} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            said = "the process died"
        self.stop()
        return {"outcome": ELSE, "said": said}


def work(pipe, folder, seed):
    """Run the cases that come through the pipe."""
    while (case := pipe.recv()) is not None:
        rng = np.random.default_rng([seed, case])
        place = folder / "pcam"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipe.send(run_case(rng, place, official=case % 2 == 0))


def run_case(rng, folder, *, official):
    """Make a folder, damage a file of it, load it, and return what happened."""
    stored = rng.choice(list(STORED))
    expected = write_folder(folder, stored, rng.choice(LIBRARIES), rng)
    mark_as_official(folder, official)
    kind = rng.choice(["x", "y", "meta", "beside"], p=[0.6, 0.2, 0.05, 0.15])
    packed = kind in "xy" and rng.random() < 0.2
    if kind == "beside" or rng.random() < 0.2:
        load(folder)
    file = folder / {"x": X, "y": Y, "meta": META, "beside": rng.choice(BESIDE)}[kind]
    if kind in "xy" and rng.random() < 0.3:
        damage = rng.choice(list(STRUCTURES))
        make_other(file, STRUCTURES[damage], kind)
    else:
        damage = rng.choice(list(BYTES))
        file.write_bytes(BYTES[damage](bytearray(file.read_bytes()), rng))
    if packed:
        file = pack(file, rng)
    outcome, said = judge(folder, file, expected, official=official)
    return {
        "file": file.name, "stored": stored, "damage": damage, "packed": packed,
        "official": official, "outcome": outcome, "said": said.replace(f"{folder}/", ""),
    }  # fmt: skip


def write_folder(folder, stored, library, rng):
    """Write official files; return patches, labels, slides and coordinates."""
    patches = rng.integers(0, 256, (N, 96, 96, 3), np.uint8)
    labels = rng.integers(0, 2, N, np.uint8)
    slides = [f"camelyon16_train_tumor_{i % 4:03}" for i in range(N)]
    with h5py.File(folder / X, "w", libver=(library, "latest")) as file:
        file.create_dataset("x", data=patches, **STORED[stored])
        file["x"].attrs["note"] = "ten bytes."
    with h5py.File(folder / Y, "w", libver=(library, "latest")) as file:
        file["y"] = labels.reshape(N, 1, 1, 1)
    places = np.arange(2 * N).reshape(N, 2)
    meta = pd.DataFrame(places, columns=["coord_y", "coord_x"])
    meta["tumor_patch"] = meta["center_tumor_patch"] = labels.astype(bool)
    meta.assign(wsi=slides).to_csv(folder / META)
    return {"images": patches, "target": labels, "groups": slides, "coordinates": places}


def mark_as_official(folder, official):
    """Let the package know the MD5 of these files, or no file of this length."""
    checks.SIZES["train"] = N if official else 262_144
    for name in (X, Y):
        checks.H5_MD5[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()


def load(folder):
    return load_pcam(folder, "train", progress=False)


def pack(path, rng):
    """Pack a damaged file, or damage the packed file."""
    packed = path.with_name(path.name + ".gz")
    content = gzip.compress(path.read_bytes(), 1)
    if rng.random() < 0.5:
        content = BYTES[rng.choice(list(BYTES))](bytearray(content), rng)
    packed.write_bytes(content)
    path.unlink()
    return packed


def judge(folder, damaged, expected, *, official):
    """Load a folder with a damaged file, and return the outcome and the message."""
    try:
        pcam = load(folder)
        frame = slides_from_official(find(folder, X), folder / META)
    except (ValueError, OSError) as error:
        return (NAMED if damaged.name in str(error) else ELSE), describe(error)
    except Exception as error:
        return ELSE, describe(error)
    ids = [hashlib.sha1(patch.tobytes()).hexdigest() for patch in pcam.images]
    if ids != pcam.ids.tolist() or not set(frame["id"]) <= set(ids):
        return ELSE, "ids are not those of the patches"
    differ = [key for key, value in expected.items() if not same(pcam[key], value)]
    if not differ:
        return RIGHT, ""
    if damaged.name == META:
        seen = not set(differ) <= {"groups", "coordinates"}
    else:
        seen = official or not all(same(pcam[key], plain(folder, key)) for key in differ)
    return (ELSE if seen else UNSEEN), "other " + ", ".join(differ)


def same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and (one == other).all()


def plain(folder, key):
    """Read values by h5py alone, from the file as it is or unpacked."""
    if key not in ("images", "target"):
        return None
    name, dataset = {"images": (X, "x"), "target": (Y, "y")}[key]
    path = find(folder, name)
    if path.suffix == ".gz":
        unpacked = folder / "unpacked"
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    with h5py.File(path, "r") as file:
        values = file[dataset][...]
    return values if dataset == "x" else values.reshape(-1)


def find(folder, name):
    packed = folder / (name + ".gz")
    return packed if packed.exists() else folder / name


def describe(error):
    """Return the message, and for what is no error of ours the line that raised it."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ValueError | OSError):
        return text
    return text + " at " + str(traceback.extract_tb(error.__traceback__)[-1])


def flip_bits(content, rng, where=None):
    for at in rng.integers(0, min(len(content), where or len(content)) or 1, rng.integers(1, 9)):
        if at < len(content):
            content[at] ^= 1 << rng.integers(8)
    return content


def flip_metadata(content, rng):
    """Flip bits in the first kilobytes, where the structure of the file is."""
    return flip_bits(content, rng, 4096)


def overwrite(content, rng):
    """Write equal or random bytes over a stretch, most often in the metadata."""
    reach = 4096 if rng.random() < 0.7 else len(content)
    at, n = rng.integers(0, min(reach, len(content)) or 1), rng.integers(1, 65)
    value = [b"\x00", b"\xff", b""][rng.integers(3)]
    content[at : at + n] = value * n if value else rng.bytes(n)
    return content


def cut(content, rng):
    return content[: rng.integers(0, len(content) or 1)]


def lengthen(content, rng):
    return content + rng.bytes(rng.integers(1, 5000))


def take_out(content, rng):
    at = rng.integers(0, len(content) or 1)
    del content[at : at + rng.integers(1, 2000)]
    return content


def move(content, rng):
    """Write a stretch of the file over another one."""
    to, source = rng.integers(0, len(content) or 1, 2)
    n = rng.integers(1, 2000)
    content[to : to + n] = content[source : source + n]
    return content


def swap_number(content, rng):
    """Give a number of the metadata, such as a size or an address, another value."""
    at = 8 * rng.integers(0, min(len(content), 4096) // 8 or 1)
    numbers = [0, 1, 7, 2**15, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
    content[at : at + 8] = numbers[rng.integers(len(numbers))].to_bytes(8, "little")
    return content


BYTES = {
    function.__name__.replace("_", " "): function
    for function in (
        flip_bits, flip_metadata, overwrite, cut, lengthen, take_out, move, swap_number,
    )
}  # fmt: skip


def make_other(path, change, kind):
    """Write another file, which `change(file, key, values)` fills, in place of one."""
    with h5py.File(path, "r") as file:
        values = file[kind][...]
    with h5py.File(path, "w") as file:
        change(file, kind, values)


def of_dtype(dtype):
    def change(file, key, values):
        file[key] = values.astype(dtype)

    return change


def of_shape(shape):
    def change(file, key, values):
        file[key] = values.reshape(shape)

    return change


def in_group(file, key, values):
    file.create_group(key)["x"] = values


def named_type(file, key, values):
    file[key] = np.dtype("u1")


def under_another_name(file, key, values):
    file[key.upper()] = values


def missing_link(file, key, values):
    file[key] = h5py.SoftLink("/nowhere")


def linked(file, key, values):
    file["there"] = values
    file[key] = h5py.SoftLink("/there")


def in_another_file(file, key, values):
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as target:
        target[key] = values
    file[key] = h5py.ExternalLink(str(other), key)


def virtual(file, key, values):
    in_another_file(file, "link", values)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(
        str(Path(file.filename).with_name("other.h5")), "link", values.shape
    )
    file.create_virtual_dataset(key, layout)


def raw_bytes_elsewhere(file, key, values):
    other = str(Path(file.filename).with_name("raw"))
    Path(other).write_bytes(values.tobytes())
    file.create_dataset(key, values.shape, values.dtype, external=[(other, 0, values.nbytes)])


def never_written(file, key, values):
    file.create_dataset(key, values.shape, values.dtype)


def written_in_part(file, key, values):
    chunks = (5, *values.shape[1:])
    file.create_dataset(key, values.shape, values.dtype, chunks=chunks)[:5] = values[:5]


def huge(file, key, values):
    chunks = (1, *values.shape[1:])
    file.create_dataset(key, (2**40, *values.shape[1:]), values.dtype, chunks=chunks)


def huge_chunks(file, key, values):
    shape, chunks = (2**20, *values.shape[1:]), (2**16, *values.shape[1:])
    file.create_dataset(key, shape, values.dtype, chunks=chunks, compression="gzip")


def empty(file, key, values):
    file[key] = h5py.Empty("u1")


def scalar(file, key, values):
    file[key] = values.flat[0]


def text(file, key, values):
    file.create_dataset(key, (N,), h5py.string_dtype())[:] = "yes"


def ragged(file, key, values):
    dataset = file.create_dataset(key, (N,), h5py.vlen_dtype(np.uint8))
    for i, value in enumerate(values):
        dataset[i] = value.ravel()


def named_values(file, key, values):
    dtype = h5py.enum_dtype({"normal": 0, "tumor": 1}, np.uint8)
    file.create_dataset(key, values.shape, dtype, data=values)


def many_attributes(file, key, values):
    file[key] = values
    for i in range(50):
        file[key].attrs[f"a{i}"] = np.zeros(100)


def fewer_rows(file, key, values):
    file[key] = values[:-1]


def no_rows(file, key, values):
    file[key] = values[:0]


def fractions(file, key, values):
    file[key] = values / 2


def missing_values(file, key, values):
    file[key] = np.full(values.shape, np.nan)


STRUCTURES = {
    **{f"dtype {dtype}": of_dtype(dtype) for dtype in ("?", "i1", ">u2", "i8", "f2", "f8", "c8")},
    **{f"shape {shape}": of_shape(shape) for shape in ((-1,), (1, -1), (N, -1, 1), (-1, 1, 1, 1))},
    **{
        function.__name__.replace("_", " "): function
        for function in (
            in_group, named_type, under_another_name, missing_link, linked, in_another_file,
            virtual, raw_bytes_elsewhere, never_written, written_in_part, huge, huge_chunks, empty,
            scalar, text, ragged, named_values, many_attributes, fewer_rows, no_rows, fractions,
            missing_values,
        )
    },
}  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    outcomes = main(arguments.count, arguments.seed, arguments.output)
    print(outcomes["outcome"].value_counts().to_string())
    faults = outcomes[outcomes["outcome"] == ELSE]
    if len(faults):
        sys.exit(faults.to_string())
