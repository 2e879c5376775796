"""Pages of the gallery: room for pictures, and their texts for those who cannot see them.

A block of an example says what each of its pictures shows, in a comment that the page shows too:
``# Picture: the ROC curve ...``. A card of the gallery names its example.
"""

import re
import struct
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx_gallery.scrapers import matplotlib_scraper

LOGGER = logging.getLogger(__name__)
_COMMENT = re.compile(r"^# Picture: (.+(?:\n#  .+)*)", re.MULTILINE)
_ALT = re.compile(r"(?<=:alt: ).*")
_IMAGE = re.compile(r"^\.\. image-sg:: /(.+)(?:\n .*)*", re.MULTILINE)
_THUMBNAIL = re.compile(r"/sphx_glr_(plot_\w+)_thumb\.\w+$")
# Text in a picture of more pixels than this cannot be read on a phone that shows all of it.
_WIDE = 750


def find_texts(code: str) -> list[str]:
    """Return the texts of all pictures of a block, in their order."""
    texts = [re.sub(r"\n#  +", " ", text) for text in _COMMENT.findall(code)]
    return [text[0].upper() + text[1:] for text in texts]


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the pictures of a block in reStructuredText, with their texts."""
    rst = matplotlib_scraper(block, block_vars, gallery_conf)
    texts, found = find_texts(block[1]), len(_ALT.findall(rst))
    if len(texts) != found:
        LOGGER.warning(
            "%s: %d pictures and %d comments '# Picture: ...' in the block of line %d",
            *(block_vars["src_file"], found, len(texts), block[2]),
        )
        return rst
    remaining = iter(texts)
    rst = _ALT.sub(lambda _: next(remaining), rst)
    return _IMAGE.sub(lambda image: _frame(image, Path(gallery_conf["src_dir"])), rst)


def _frame(image: re.Match[str], folder: Path) -> str:
    """Return an image that scrolls sideways on a phone if it is wide."""
    (width,) = struct.unpack(">I", (folder / image[1]).read_bytes()[16:20])
    if width < _WIDE:
        return image[0]
    return ".. container:: wide-picture\n\n" + re.sub("^", "   ", image[0], flags=re.MULTILINE)


def give_room(app: Any, doctree: nodes.document) -> None:
    """Leave out the headings beside an example, whose code and pictures take the width."""
    if app.env.docname.startswith("gallery/plot_"):
        app.env.metadata[app.env.docname]["html_theme.sidebar_secondary.remove"] = "true"


def name_thumbnails(app: Any, doctree: nodes.document, page: str) -> None:
    """Name the example in the text of each thumbnail."""
    for image in doctree.findall(nodes.image):
        if example := _THUMBNAIL.search(image["uri"]):
            title = app.env.titles[f"gallery/{example[1]}"].astext()
            image["alt"] = f"A picture of the example “{title}”"


def setup(app: Any) -> dict[str, bool]:
    """Register the extension; the gallery calls `scrape` by its name."""
    app.connect("doctree-read", give_room)
    app.connect("doctree-resolved", name_thumbnails)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
