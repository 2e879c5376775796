"""A run folder: where it is written, what it holds, and when it may be replaced."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pcam_sklearn._files import atomic_path, folder_in_progress, new_folder
from pcam_sklearn._messages import first_few
from pcam_sklearn._training import KEEP
from pcam_sklearn._workspaces import Workspace
from pcam_sklearn.cli._manifest import MANIFEST_FILE, find_files, read_manifest, write_manifest
from pcam_sklearn.cli._output import Output, to_json

if TYPE_CHECKING:
    from pcam_sklearn.cli._training_run import Run

MODEL_FILE, CONFIG_FILE, EVALUATION_FILE = "model.pcam", "config.json", "evaluation.json"
SPLIT_FILE, PREDICTIONS_FILE = "split.csv", "predictions.csv"
PIXELS = "sha256"  # The column of split.csv with a digest of each patch's pixels.
THRESHOLD_SLIDES = "threshold_slides"  # In the metadata of the model file.
# What stays of a run that ends early, for --resume.
_CHECKPOINT = "checkpoint"
_TO_RESUME = {_CHECKPOINT, CONFIG_FILE}


@dataclass
class RunInProgress:
    """The place where a run is written until it is complete, next to its final folder."""

    work: Workspace
    out: Output
    has_trained: bool = False

    def start(self) -> Path:
        """Remove what an ended process left, and return an empty folder for the files."""
        if self.work.names():
            self.out.note(f"Removed {self.work.path}, which a run that ended early had left.")
        self.work.clear()
        return new_folder(self.work)

    def resume(self, config: Mapping[str, Any]) -> Path:
        """Keep the checkpoint of a run with the same config, and return a folder for the files."""
        if not self.work.names() >= _TO_RESUME or not self._has_epochs():
            self.out.note("There is no run to resume, so this one starts from the beginning.")
            return self.start()
        path = self.work.path / CONFIG_FILE
        _check_same(path, config)
        self.out.note(f"Resuming the run of {self.work.path}.")
        self.work.kept &= _TO_RESUME
        self.work.remove_rest()
        return new_folder(self.work)

    @contextmanager
    def checkpoint(self, config: Mapping[str, Any], *, resume: bool) -> Iterator[Path]:
        """Yield a folder for checkpoints, which stays if the block is interrupted.

        With `resume`, and once the fit is done, it stays after errors as well.
        """
        with atomic_path(self.work.path / CONFIG_FILE) as path:
            path.write_text(to_json(config), encoding="utf-8")
        try:
            yield self.work.path / _CHECKPOINT
        except (Exception, KeyboardInterrupt) as error:
            if resume or self.has_trained or isinstance(error, KeyboardInterrupt):
                self._keep(error)
            raise

    def _has_epochs(self) -> bool:
        folder = self.work.path / _CHECKPOINT
        return folder.is_dir() and bool({*os.listdir(folder)} - {KEEP})

    def _keep(self, error: BaseException) -> None:
        if self._has_epochs():
            self.work.kept |= _TO_RESUME
            error.add_note(
                f"The epochs so far are kept in {self.work.path}: go on with --resume, or start "
                "again without it."
            )


@contextmanager
def new_run_folder(folder: Path, *, overwrite: bool, out: Output) -> Iterator[RunInProgress]:
    """Yield a run in progress, whose folder takes its name if all goes well.

    Another process that writes the same run, and an old folder that must stay, are errors.
    """
    check = partial(check_replaceable, folder, overwrite=overwrite)
    with folder_in_progress(folder, check) as work:
        yield RunInProgress(work, out)


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError unless a command may write its files to `folder`.

    `overwrite` allows to replace what a command wrote, and never a folder with anything else.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists; pass another --output, or --overwrite")
    names = find_files(folder)
    if names and MANIFEST_FILE not in names:
        raise FileExistsError(
            f"{folder} is not a run folder, so it is not overwritten; pass another --output"
        )
    foreign = names - {MANIFEST_FILE} - set(read_manifest(folder)) if names else set()
    if foreign:
        raise FileExistsError(
            f"{folder} also holds what no run wrote: {first_few(sorted(foreign))}; move it, or "
            "pass another --output"
        )


def _check_same(path: Path, config: Mapping[str, Any]) -> None:
    """Raise ValueError if the run that wrote a config had other options or parameters."""
    before, now = _flatten(_read_config(path)), _flatten(json.loads(to_json(config)))
    changed = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"the run to resume had other options: {first_few(changed)}; pass the same ones, or "
            "leave out --resume to start again"
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged: {error}; leave out --resume to start again"
        ) from error
    return config if isinstance(config, dict) else {}


def _flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, the parameters, and all else of a config in one dict."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def write_run(folder: Path, run: "Run", config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the files of a run, and return the content of ``evaluation.json``."""
    from pcam_sklearn.persistence import save_model

    facts = run.facts()
    save_model(run.pipeline, folder / MODEL_FILE, metadata=run.metadata())
    for name, values in ((EVALUATION_FILE, facts), (CONFIG_FILE, config)):
        (folder / name).write_text(to_json(values) + "\n", encoding="utf-8")
    _write_tables(folder, run)
    card = run.card()
    (folder / "card.html").write_text(card.to_html(), encoding="utf-8")
    (folder / "card.md").write_text(card.to_markdown(), encoding="utf-8")
    for picture in card.pictures:
        (folder / f"{picture.name}.png").write_bytes(picture.png)
    # The manifest comes last, since it describes all other files.
    write_manifest(folder)
    return facts


def _write_tables(folder: Path, run: "Run") -> None:
    history = pd.DataFrame(run.pipeline[-1].history_)
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    history.to_csv(folder / "history.csv")
    # Unknown slides become empty fields, so that the tables always have the same columns.
    slide = "" if run.patches.groups is None else run.patches.groups
    table = pd.DataFrame({"id": run.patches.ids, "slide": slide})
    split = table.assign(part=run.split.parts(), **{PIXELS: run.patches.digests()})
    split.to_csv(folder / SPLIT_FILE, index=False)
    predictions = table.iloc[run.split.test].assign(
        label=run.evaluation.positive.astype(int),
        probability=run.evaluation.y_prob,
        # `card` reads it from here, because the patches may be gone by then.
        stain="" if run.evaluation.stain is None else run.evaluation.stain,
    )
    predictions.to_csv(folder / PREDICTIONS_FILE, index=False)
