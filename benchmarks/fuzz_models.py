"""Damage model files in many ways, load each, and count what happens.

    python benchmarks/fuzz_models.py                       10,000 files, some 15 minutes
    python benchmarks/fuzz_models.py --count 100 --seed 7

Each file is a fixture of tests/data/models, changed by one of the mutations below. Those under
DAMAGE leave hashes as they are, so a file that loads must give the old probabilities. Those under
FORGERY recompute every hash and checksum, as an attacker would. Such a file may describe another
model, but nothing else may happen. Workers load the files and watch themselves by an audit hook:
code run, files written, sockets, processes. They also watch time and memory. The script prints a
table and writes benchmarks/results/fuzz_models.csv, and ends with 1 if anything happened.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "tests" / "data" / "models" / "v1"
RESULTS = Path(__file__).parent / "results" / "fuzz_models.csv"
BASES = ("pipeline", "isotonic", "sigmoid", "tuned", "fixed", "voting")
PER_WORKER = 500
SECONDS = 30  # A file that takes longer hangs.
MEGABYTES = 1024
CANARY = "pcam-fuzz-canary"


class Payload:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self):
        return open, (str(Path(tempfile.gettempdir(), CANARY)), "w")


PICKLE = pickle.dumps(Payload())


# Mutations that leave hashes and checksums as they are


def flip_bits(data, rng):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_bits_of_text(data, rng):
    """Flip bits where the manifest and the headers are."""
    changed = bytearray(data)
    part = rng.choice((range(200), range(len(data) - 400, len(data)), range(3000)))
    for _ in range(rng.choice((1, 1, 2))):
        changed[rng.choice(part)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def cut_out(data, rng):
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 200) :]


def insert(data, rng):
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.randrange(1, 200)) + data[start:]


def repeat_a_part(data, rng):
    start = rng.randrange(len(data))
    end = start + rng.randrange(1, 3000)
    return data[:end] + data[start:end] + data[end:]


def around(data, rng):
    extra = rng.choice((PICKLE, rng.randbytes(100), data))
    return rng.choice((extra + data, data + extra))


def splice(data, rng):
    """Take a member from another model."""
    members, other = unpack(data), unpack(read_base(rng.choice(BASES)))
    name = rng.choice(list(members))
    return pack({**members, name: other[name] + rng.choice((b"", b"\n"))})


def repeat_a_member(data, rng):
    members = list(unpack(data).items())
    return zip_of([*members, (rng.choice(members)[0], rng.choice((PICKLE, b"{}", b"")))])


def huge_sizes(data, rng):
    """Write huge numbers over sizes, offsets and counts of the headers."""
    changed = bytearray(data)
    place = changed.find(rng.choice((b"PK\3\4", b"PK\1\2", b"PK\5\6")), rng.randrange(200))
    if place >= 0:
        size = rng.choice((2**32 - 1, 2**31, 2**20, 0))
        struct.pack_into("<L", changed, min(place + rng.randrange(4, 42), len(data) - 4), size)
    return bytes(changed)


def names(data, rng):
    members = list(unpack(data).items())
    bad = ("../../x", "/tmp/x", "C:\\x", "manifest.json\0x", "./manifest.json", "model.pkl", "")
    at = rng.randrange(len(members))
    renamed = (rng.choice(bad), members[at][1])
    return zip_of(rng.choice(([*members, renamed], [*members[:at], renamed, *members[at + 1 :]])))


def zip_tricks(data, rng):
    members = list(unpack(data).items())
    trick = rng.choice(("deflated", "comment", "symlink", "zip64", "encrypted", "bomb", "order"))
    if trick == "bomb":
        members.append(("README.md", bytes(30_000_000)))
    if trick == "order":
        rng.shuffle(members)
    return zip_of(members, trick)


def pickle_instead(data, rng):
    compressed = zlib.compress(PICKLE)
    return rng.choice((PICKLE, compressed, b"\x80\x04", b"", b"PK\3\4", data[:4] + PICKLE))


# Mutations with every hash and checksum recomputed


def edit_a_value(data, rng):
    """Put a strange value anywhere into the manifest."""
    members, manifest = parts(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        holder, key = rng.choice(places(manifest))
        holder[key] = strange(rng, holder[key])
    return forge(members, manifest)


def edit_a_parameter(data, rng):
    members, manifest = parts(data)
    nodes = [node for node in manifest["estimators"] if "parameters" in node]
    node = rng.choice(nodes)
    within = rng.choice([node["parameters"], *built_from(node)])
    name = rng.choice([*within, *ROUTED])
    within[name] = rng.choice((strange(rng, within.get(name)), huge(rng)))
    return forge(members, manifest)


def edit_the_list(data, rng):
    """Drop, repeat, reorder or rename estimators."""
    members, manifest = parts(data)
    nodes = manifest["estimators"]
    match rng.randrange(5):
        case 0:
            nodes.pop(rng.randrange(len(nodes)))
        case 1:
            nodes.insert(rng.randrange(len(nodes)), rng.choice(nodes))
        case 2:
            rng.shuffle(nodes)
        case 3:
            rng.choice(nodes)["type"] = rng.choice(TYPES)
        case 4:
            holder, key = rng.choice([p for p in places(nodes) if type(p[0][p[1]]) is int])
            holder[key] = rng.choice((-1, 0, 1, 2, 3, 4, 10**9))
    return forge(members, manifest)


def drop_a_key(data, rng):
    members, manifest = parts(data)
    holder, key = rng.choice([p for p in places(manifest) if isinstance(p[0], dict)])
    del holder[key]
    return forge(members, manifest)


def text_of_manifest(data, rng):
    """Write JSON that is deep, repeated, not finite, cut or no JSON."""
    members, manifest = parts(data)
    text = json.dumps(manifest)
    depth = rng.choice((100, 5000, 200_000))
    deep = rng.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth))
    other = rng.choice(("NaN", "Infinity", "1e999", "-0", "9" * 5000, deep, '"\\ud800"', "[]", ""))
    forms = (
        deep,
        text.replace("null", other, 1),
        text.replace('"format"', '"format": 1, "format"', 1),
        text[: rng.randrange(len(text))],
        "[" + "[]," * rng.choice((10, 1_000_000)) + "[]]",
        text.encode("utf-16").decode("latin-1"),
        PICKLE.decode("latin-1"),
    )
    return pack({**members, "manifest.json": rng.choice(forms).encode("utf-8", "replace")})


def pickle_as_member(data, rng):
    members, manifest = parts(data)
    members[rng.choice(("weights.safetensors", "README.md", "requirements.txt"))] = PICKLE
    return forge(members, manifest)


def header_of_arrays(data, rng):
    """Change shapes, dtypes, offsets and names of the arrays."""
    members, manifest = parts(data)
    header, values = arrays(members)
    holder, key = rng.choice(places(header))
    holder[key] = rng.choice((strange(rng, holder[key]), huge(rng), "F64", "I8", "BF16", "F8_E5M2"))
    members["weights.safetensors"] = put_arrays(header, values)
    return forge(members, manifest)


def values_of_arrays(data, rng):
    """Change the weights: noise, NaN, infinity, more bytes, fewer bytes."""
    members, manifest = parts(data)
    header, values = arrays(members)
    start = rng.randrange(len(values) // 4) * 4
    new = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, 0.25)))
    forms = (
        values[:start] + new + values[start + 4 :],
        values + b"\0",
        values[:-1],
        values[:start],
    )
    members["weights.safetensors"] = put_arrays(header, rng.choice(forms))
    return forge(members, manifest)


def larger_network(data, rng):
    """Describe a large network, with or without arrays that claim to fill it."""
    members, manifest = parts(data)
    node = next(n for n in manifest["estimators"] if n["type"] == "CNNClassifier")
    number = rng.choice((100, 1000, 20_000, 10**6, 10**9))
    changes = rng.choice(
        (
            {"filters": {"tuple": [number] * 3}},
            {"filters": [number] * rng.choice((1, 3, 50, 1000))},
            {"dense_units": number},
            {"network": "residual", "model__blocks": number, "filters": None},
            {"network": rng.choice(("residual", "d4", "two-stream", "transfer")), "filters": None},
            {"network": "transfer", "model__backbone": "ConvNeXtXLarge", "filters": None},
            {"network": "transfer", "model__weights": "/etc/passwd", "filters": None},
            {"network": "transfer", "model__weights": "imagenet", "filters": None},
            {"network": {"function": "os.system"}},
        )
    )
    if "network" in changes:
        changes |= {"dense_units": None, "third_pool": None}
    for parameters in (node["parameters"], *built_from(node)):
        parameters.update(changes)
    if rng.random() < 0.3:
        side = rng.choice((64, 4096, 100_000, 10**9))
        node["network"]["built_from"]["input_shape"] = [side, side, 3]
        node["learned"]["X_shape_"] = {"tuple": [4, side, side, 3]}
    if rng.random() < 0.3:
        header, values = arrays(members)
        for array in header.values():
            array["shape"] = [n if n < 3 else number for n in array["shape"]]
        members["weights.safetensors"] = put_arrays(header, values)
    return forge(members, manifest)


DAMAGE = (
    flip_bits, flip_bits_of_text, truncate, cut_out, insert, repeat_a_part, around, splice,
    repeat_a_member, huge_sizes, names, zip_tricks, pickle_instead,
)  # fmt: skip
FORGERY = (
    edit_a_value, edit_a_value, edit_a_parameter, edit_a_parameter, edit_the_list, drop_a_key,
    text_of_manifest, pickle_as_member, header_of_arrays, values_of_arrays, larger_network,
)  # fmt: skip
TYPES = (
    "os.system", "builtins.eval", "Pipeline", "FrozenEstimator", "CalibratedClassifierCV", "object",
    "CNNClassifier", "PatchReader", "FunctionTransformer", "GridSearchCV", "LogisticRegression",
)  # fmt: skip
ROUTED = (
    "model__weights", "model__blocks", "model__backbone", "optimizer__learning_rate",
    "compile__loss", "compile__optimizer", "fit__callbacks", "predict__batch_size", "loss__x",
    "callbacks__log__dir", "model__activation", "__class__", "_private", "steps", "memory",
)  # fmt: skip
HOSTILE_OBJECT = {
    "class_name": "Lambda", "module": "keras.layers", "config": {"function": ["KAA=", None, None]},
}  # fmt: skip


def strange(rng, old):
    values = (
        None, True, -1, 0, 1, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, "", "x", "../x",
        "http://x.invalid/w.h5", "\0", "x" * 10_000, [], {}, [[]], [None], HOSTILE_OBJECT,
        {"dict": [["a", 1]]}, {"dict": [[["a"], 1]]}, {"dict": [[HOSTILE_OBJECT, 1]]},
        {"float": "nan"}, {"float": "inf"}, {"float": "x"}, {"tuple": [1, 2]}, {"numpy": "int8"},
        {"numpy": "int8", "value": 300}, {"numpy": "object", "value": 1}, {"left_out": "os.system"},
        {"array": "float64", "shape": [10**9, 0], "values": []},
        {"array": "float64", "shape": [2], "values": [0.1, 0.9]},
        {"array": "<U9999", "shape": [3000], "values": ["a"] * 3000},
        {"array": "object", "shape": [1], "values": [{"tuple": []}]},
        {"keras": "losses.deserialize"},
        {"keras": "metrics.MeanIoU", "arguments": {"num_classes": 10**5}},
        {"keras": "optimizers.Adam", "arguments": {"learning_rate": HOSTILE_OBJECT}},
        {"keras": "metrics.AUC", "arguments": {"num_thresholds": 10**9}},
        {"value": HOSTILE_OBJECT}, {"value": "adam"}, {"function": "os.system"}, {"function": 1},
    )  # fmt: skip
    return rng.choice((*values, [old] * rng.choice((0, 2, 3000)), {"tuple": [old]}))


def huge(rng):
    return rng.choice((10**5, 10**9, 10**18, [10**9] * 3, [3] * 100_000, 1e300, -(10**9)))


# Model files taken apart and put together, without the package's own code


def read_base(name):
    return (MODELS / f"{name}.pcam").read_bytes()


def unpack(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def parts(data):
    members = unpack(data)
    return members, json.loads(members["manifest.json"])


def forge(members, manifest):
    """Return a file whose manifest says the truth about the other members."""
    others = {name: content for name, content in members.items() if name != "manifest.json"}
    if isinstance(manifest, dict) and "members" in manifest:
        manifest["members"] = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in others.items()
        }
    return pack({"manifest.json": json.dumps(manifest).encode(), **others})


def pack(members):
    from pcam_sklearn._archive import write_archive

    file = io.BytesIO()
    write_archive(file, members)
    return file.getvalue()


def zip_of(members, trick=""):
    """Return a zip that Python wrote, where the package would write its own."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if trick in ("deflated", "bomb") else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as file:
        warnings.simplefilter("ignore")
        file.comment = b"x" * 100 if trick == "comment" else b""
        for name, content in members:
            entry = zipfile.ZipInfo(name or "x", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = kind
            entry.external_attr = (0o120777 if trick == "symlink" else 0o100644) << 16
            with file.open(entry, "w", force_zip64=trick == "zip64") as member:
                member.write(content)
    data = bytearray(buffer.getvalue())
    if trick == "encrypted":
        data[6] |= 1
    return bytes(data)


def arrays(members):
    data = members["weights.safetensors"]
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_arrays(header, values):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def places(value):
    """Return each place in nested JSON, as its holder and its key."""
    keys = value if isinstance(value, dict) else range(len(value))
    found = []
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def built_from(node):
    network = node.get("network")
    return [network["built_from"]["parameters"]] if network else []


# One worker


WATCHED = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod",
    "os.truncate", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen",
    "socket.connect", "socket.getaddrinfo", "pickle.find_class", "marshal.loads", "marshal.load",
    "urllib.Request", "shutil.rmtree", "shutil.copyfile", "ctypes.dlopen",
)  # fmt: skip
seen: list[str] = []
watching = False


def hook(event, arguments):
    if not watching:
        return
    if event == "open":
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        if flags & writes:
            seen.append(f"open {arguments[0]} to write")
    elif event in WATCHED:
        seen.append(event)


def hang(*_):
    raise TimeoutError(f"more than {SECONDS} s")


def mutate(seed):
    """Return the mutation of a seed, the base it was applied to, and the changed file."""
    rng = random.Random(seed)
    mutation = rng.choice(rng.choice((DAMAGE, FORGERY)))
    base = rng.choice(BASES)
    return mutation, base, mutation(read_base(base), rng)


def load_and_predict(path, X):
    """Return the outcome, and the probabilities if the file loaded."""
    from pcam_sklearn.persistence import ModelFileError, load_model

    global watching
    signal.alarm(SECONDS)
    try:
        watching = True
        model = load_model(path)
        watching = False
        with np.errstate(all="ignore"):
            return "loaded", np.asarray(model.predict_proba(X))
    except ModelFileError as error:
        return "refused" if str(path) in str(error) else "refused without its name", None
    except TimeoutError:
        return "HANG", None
    except Exception as error:
        # After loading, an estimator may refuse patches; before that no other error may come.
        kind = type(error).__name__
        return ("loaded, then refused the patches" if not watching else f"ERROR {kind}"), None
    finally:
        watching = False
        signal.alarm(0)


def judge(mutation, outcome, found, expected):
    """Return the outcome, with the probabilities judged."""
    if found is None:
        return outcome
    if found.shape == expected.shape and np.array_equal(found, expected):
        return "loaded, same probabilities"
    if mutation in DAMAGE:
        return "WRONG PROBABILITIES"
    return "loaded, another model"


def work(seed, start, count):
    """Print one line for each file of a range."""
    warnings.simplefilter("ignore")
    expected = np.load(MODELS / "expected.npz")
    X = expected["X"][:4]
    known = {}
    sys.addaudithook(hook)
    signal.signal(signal.SIGALRM, hang)
    for base in BASES:  # All imports and first compilations happen here.
        for _ in range(2):
            known[base] = load_and_predict(MODELS / f"{base}.pcam", X)[1]
    seen.clear()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.pcam")
        before = peak()
        for number in range(start, start + count):
            mutation, base, data = mutate(f"{seed} {number}")
            path.write_bytes(data)
            begun = time.perf_counter()
            outcome, found = load_and_predict(path, X)
            seconds = time.perf_counter() - begun
            outcome = judge(mutation, outcome, found, known[base])
            if os.listdir(folder) != ["m.pcam"] or Path(tempfile.gettempdir(), CANARY).exists():
                seen.append("a file was written")
            row = (number, mutation.__name__, base, outcome, f"{seconds:.3f}",
                   f"{peak() - before:.0f}", " ".join(seen))  # fmt: skip
            seen.clear()
            print("\t".join(map(str, row)), flush=True)


def peak():
    """Return the largest memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


COLUMNS = ["file", "mutation", "base", "outcome", "seconds", "peak_mb", "seen"]


def run_worker(seed, start, count):
    """Return the rows of a worker, with one for the file that it crashed on."""
    command = [sys.executable, __file__, "--worker", str(start), "--count", str(count), "--seed"]
    done = subprocess.run([*command, str(seed)], capture_output=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 6]
    if len(rows) < count:
        mutation, base, _ = mutate(f"{seed} {start + len(rows)}")
        print(done.stderr[-2000:], file=sys.stderr)
        crash = f"CRASH {done.returncode}"
        rows.append([start + len(rows), mutation.__name__, base, crash, 0, 0, ""])
    return rows


def main():
    """Run the workers, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS, help="table of outcomes")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        work(options.seed, options.worker, options.count)
        return 0
    rows = []
    with contextlib.suppress(KeyboardInterrupt):
        while len(rows) < options.count:
            n = min(PER_WORKER, options.count - len(rows))
            rows += run_worker(options.seed, len(rows), n)
            print(f"{len(rows)} files", file=sys.stderr, flush=True)
    return report(pd.DataFrame(rows, columns=COLUMNS), options.output)


def report(files, output):
    """Write a row for each mutation and outcome, and return 1 if anything bad happened."""
    files = files.astype({"seconds": float, "peak_mb": float})
    bad = files["outcome"].str.contains("[A-Z]{4}") | (files["seen"] != "")
    bad |= (files["peak_mb"] > MEGABYTES) | (files["outcome"] == "refused without its name")
    table = files.groupby(["mutation", "outcome"]).agg(
        files=("file", "size"), longest_s=("seconds", "max"), peak_mb=("peak_mb", "max")
    )
    output.parent.mkdir(exist_ok=True)
    table.reset_index().to_csv(output, index=False)
    print(table.to_string())
    print(f"{len(files)} files, {bad.sum()} of them did what no file may do")
    print(files[bad].to_string() if bad.any() else "")
    return int(bad.any())


if __name__ == "__main__":
    sys.exit(main())
