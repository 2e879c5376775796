"""Model cards as documents: paragraphs, tables and pictures, in Markdown and in HTML."""

import base64
import html
import os
from contextlib import ExitStack
from dataclasses import dataclass, field

import pandas as pd

from pcam_sklearn._files import atomic_path, expand_home
from pcam_sklearn._markdown import escape_markdown

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { border-bottom: 1px solid #ccc; margin-top: 2rem; }
.wide { overflow-x: auto; } .wide + .wide { margin-top: 1rem; }
/* In a table of two columns hashes and long names take several lines, and nothing scrolls. */
tbody th:nth-last-child(2) { overflow-wrap: anywhere; min-width: 12rem; }
th + td:last-child { overflow-wrap: anywhere; min-width: 8rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.5rem; border-bottom: 1px solid #ddd; text-align: left;
  font-variant-numeric: tabular-nums; vertical-align: top; }
thead th { border-bottom: 2px solid #888; } tbody th { font-weight: 600; }
figure { margin: 1.5rem 0; } figcaption { color: #444; font-size: 0.9rem; }
img { max-width: 100%; height: auto; }
/* A phone scrolls a wide picture, so that its text can be read. */
@media screen and (max-width: 40rem) { figure .wide img { max-width: none; width: 44rem; } }
"""
_WIDE_PICTURE = 800  # pixels


@dataclass(frozen=True)
class Picture:
    """A PNG with the name of its file, and a caption that also serves readers who cannot see."""

    name: str
    png: bytes
    caption: str

    @property
    def width(self) -> int:
        """The width in pixels, which stands in the header of a PNG."""
        return int.from_bytes(self.png[16:20], "big")


@dataclass(frozen=True)
class Section:
    """A heading with its paragraphs (str), tables and pictures."""

    heading: str
    blocks: list[str | pd.DataFrame | Picture] = field(default_factory=list)


@dataclass(frozen=True)
class ModelCard:
    r"""A model card, made by :func:`pcam_sklearn.report.model_card`.

    Attributes
    ----------
    title : str
        The name of the model.
    sections : list of Section
        The content, in the order of the card.

    Examples
    --------
    >>> from pcam_sklearn.report import ModelCard
    >>> print(ModelCard("A *small* model", []).to_markdown())
    # A \*small\* model
    <BLANKLINE>
    """

    title: str
    sections: list[Section]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in the order of the card."""
        blocks = [block for section in self.sections for block in section.blocks]
        return [block for block in blocks if isinstance(block, Picture)]

    def to_html(self) -> str:
        """Return one HTML page that needs no other file, because it contains its pictures.

        Returns
        -------
        str
            The page, with all text escaped, which runs no script and fetches nothing.
        """
        title = html.escape(self.title)
        body = [f"<h1>{title}</h1>"]
        for section in self.sections:
            body.append(f"<h2>{html.escape(section.heading)}</h2>")
            body += [_block_to_html(block, section.heading) for block in section.blocks]
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(body)
            + "\n</main>\n</body>\n</html>\n"
        )

    def to_markdown(self, prefix: str = "") -> str:
        """Return the card in GitHub's Markdown.

        Parameters
        ----------
        prefix : str, default=""
            The start of the names of the picture files, ``<prefix><name>.png``.

        Returns
        -------
        str
            The card. It links its pictures; :meth:`write_markdown` writes them.
        """
        parts = [f"# {escape_markdown(self.title)}"]
        for section in self.sections:
            parts.append(f"## {escape_markdown(section.heading)}")
            parts += [_block_to_markdown(block, prefix) for block in section.blocks]
        return "\n\n".join(parts) + "\n"

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, wholly or not at all.

        Parameters
        ----------
        path : path-like
            The file to write, in a folder that exists. An existing file is replaced.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_html(), encoding="utf-8")

    def write_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write the card to a file, and its pictures next to it as ``<stem>-<name>.png``.

        Parameters
        ----------
        path : path-like
            The file to write, in a folder that exists. Existing files are replaced.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        path = expand_home(path)
        prefix = f"{path.stem}-"
        with ExitStack() as stack:
            # Files get their names in the reverse order, when all are written. So the card comes
            # last, and never links a picture that is missing.
            card = stack.enter_context(atomic_path(path))
            card.write_text(self.to_markdown(prefix), encoding="utf-8")
            for picture in self.pictures:
                file = path.with_name(f"{prefix}{picture.name}.png")
                stack.enter_context(atomic_path(file)).write_bytes(picture.png)


def _block_to_html(block: str | pd.DataFrame | Picture, heading: str) -> str:
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    if isinstance(block, pd.DataFrame):
        return _let_scroll(_table_to_html(block), heading)
    data = base64.b64encode(block.png).decode()
    caption = html.escape(block.caption)
    image = f'<img src="data:image/png;base64,{data}" alt="{caption}">'
    if block.width > _WIDE_PICTURE:
        image = _let_scroll(image, block.caption)
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _let_scroll(content: str, name: str) -> str:
    """Return content that scrolls sideways where it is too wide, also by the keyboard."""
    label = html.escape(name)
    return f'<div class="wide" role="group" aria-label="{label}" tabindex="0">{content}</div>'


def _table_to_html(table: pd.DataFrame) -> str:
    header, *rows = _read_cells(table)
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = []
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        body.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    return (
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(body)
        + "\n</tbody>\n</table>"
    )


def _block_to_markdown(block: str | pd.DataFrame | Picture, prefix: str) -> str:
    if isinstance(block, str):
        return escape_markdown(block)
    if isinstance(block, Picture):
        # The angle brackets let a file's name hold spaces.
        return f"![{escape_markdown(block.caption)}](<{prefix}{block.name}.png>)"
    header, *rows = [[escape_markdown(cell) for cell in row] for row in _read_cells(block)]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _read_cells(table: pd.DataFrame) -> list[list[str]]:
    """Return header and rows as text, with the index as the first column."""
    header = [str(table.index.name or ""), *map(str, table.columns)]
    rows = [list(map(_format_value, row)) for row in table.itertuples(name=None)]
    return [header, *rows]


def _format_value(value: object) -> str:
    if isinstance(value, float):
        # The card explains the dash; "nan" would look like a mistake.
        return "-" if pd.isna(value) else f"{value:.3f}"
    return str(value)
