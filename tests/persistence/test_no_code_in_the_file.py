"""The source that `load_model` can reach: nothing in it makes code of bytes."""

import ast
from pathlib import Path

import pcam_sklearn

PACKAGE = Path(pcam_sklearn.__file__).parent
# Modules whose readers run code that a file names.
FORBIDDEN_MODULES = {
    "pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "runpy", "subprocess",
    "ctypes", "dbm", "jsonpickle", "yaml",
}  # fmt: skip
NUMPY_LOADERS = ("np.load", "numpy.load")
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {"import_module", "from_config"}
FORBIDDEN_PARTS = ("deserialize", "load_model", "load_weights", "model_from_json", "unpickl")
# All that a walk finds, and why it is no way from a file to code.
EXPECTED = {
    ("__init__.py", "import_module()"),  # the public names, out of a table in that file
    ("_lazy.py", "import_module()"),  # the same for a package inside, out of its table
    ("_training/_pickling.py", "pickle"),  # dumps alone, when a classifier is pickled
    # A subclass that knows four names reads one published file, by its SHA-256, and no model file.
    ("networks/_published.py", "pickle"),
    ("_training/_keras_parts.py", "from_config()"),  # of an optimizer that lives in this process
    ("_training/_recipe.py", "from_config()"),  # of a loss that lives in this process
    ("_files.py", "ctypes"),  # asks the system to exchange two folders
    ("_training/_backends/__init__.py", "import_module()"),  # the backend, out of three
}


def modules_reached(*starts):
    """Return the files of the package that modules import, themselves or by others, at any time."""
    found, waiting = set(), list(starts)
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if file is None or file in found:
            continue
        found.add(file)
        parts = name.split(".")
        waiting += [".".join(parts[:n]) for n in range(1, len(parts))]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file} imports by a relative name"
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return found


def file_of(module):
    """Return the file of a module of this package, or None."""
    head, *rest = module.split(".")
    path = PACKAGE.joinpath(*rest)
    if head != "pcam_sklearn":
        return None
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def suspects(file):
    """Return each import, call and name in a file that could make code of data."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES}
        elif isinstance(node, ast.ImportFrom):
            if node.module.split(".")[0] in FORBIDDEN_MODULES:
                found.add(node.module)
        elif isinstance(node, ast.Call):
            given = {ast.unparse(keyword) for keyword in node.keywords}
            if ast.unparse(node.func) in NUMPY_LOADERS and "allow_pickle=False" not in given:
                found.add(ast.unparse(node.func))
            bare = FORBIDDEN_BUILTINS if isinstance(node.func, ast.Name) else set()
            found |= {f"{name}()" for name in {name_of(node.func)} & (bare | FORBIDDEN_METHODS)}
        if isinstance(node, (ast.Name, ast.Attribute)) and is_forbidden(name_of(node)):
            found.add(name_of(node))
    return found


def name_of(node):
    return getattr(node, "attr", getattr(node, "id", ""))


def is_forbidden(name):
    own = name == "load_model"  # This package's function of that name.
    return not own and any(part in name for part in FORBIDDEN_PARTS)


def test_the_walk_sees_what_it_looks_for(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "import pickle, marshal.x\nnp.load(z)\nnp.load(z, allow_pickle=False)\n"
        "from keras.saving import x\n"
        "keras.layers.deserialize(y)\n"
        "def f():\n    from joblib import load\n    eval('1')\n    kind.from_config({})\n"
    )
    assert suspects(file) == {
        "pickle", "marshal.x", "np.load", "deserialize", "joblib", "eval()", "from_config()"
    }  # fmt: skip


def test_loading_reaches_nothing_that_makes_code_of_a_file():
    backends = [f"pcam_sklearn._training._backends._{b}" for b in ("tensorflow", "jax", "torch")]
    files = modules_reached("pcam_sklearn.persistence._load", *backends)
    reached = {file.relative_to(PACKAGE).as_posix() for file in files}
    assert {"persistence/_load.py", "classifier.py", "networks/_transfer.py"} <= reached
    found = {
        (file.relative_to(PACKAGE).as_posix(), suspect)
        for file in files
        for suspect in suspects(file)
    }
    assert found == EXPECTED


def test_pickle_is_only_asked_to_write():
    tree = ast.parse((PACKAGE / "_training" / "_pickling.py").read_text())
    used = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and name_of(n.value) == "pickle"
    }
    assert used == {"dumps", "PicklingError"}


def test_no_file_of_the_room_opens_another_file_or_imports_by_name():
    for file in [PACKAGE / "_archive.py", *(PACKAGE / "persistence").glob("*.py")]:
        calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        opened = {ast.unparse(call) for call in calls if name_of(call.func) == "open"}
        expected = {
            "_archive.py": {
                "open(path, 'rb', opener=_without_waiting)",
                "os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))",
            },
            "_save.py": {"open(temporary, 'wb')"},
        }
        assert opened == expected.get(file.name, set())
