"""Drawings of H&E-stained lymph node: nuclei first, then stain, then light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

CENTER = 32
# Shares of the negative patches. Histiocytes are large cells in the center that are no tumour, and
# tumour in the border does not count. So a network has to learn more than "large cells somewhere".
_HISTIOCYTES, _BORDER_TUMOUR = 0.07, 0.3
_INK = 160  # The grey level of hematoxylin 1.0. Darker nuclei have room above it.
_ROW_HEIGHT = 0.87  # The height of an equilateral triangle of side 1.
_SUBPIXEL_BITS = 4
_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_HARMONICS = np.exp(1j * np.outer([2, 3, 4], _ANGLES))

# Optical density of hematoxylin and of eosin in R, G, B, in a pinkish and a purple laboratory.
_PINK = np.array([[1.10, 1.45, 1.00], [0.08, 0.36, 0.28]])
_PURPLE = np.array([[1.35, 1.50, 0.50], [0.20, 0.50, 0.16]])


@dataclass(frozen=True)
class Slide:
    """The look that all patches of a slide share: stains in optical density, lengths in pixels."""

    stains: NDArray[np.float32]  # (3, 2): R, G, B of hematoxylin, of eosin
    glass: NDArray[np.float32]  # (3,): colour where there is no tissue
    lymphocyte_radius: float
    tumour_radius: float
    tumour_shade: float


@dataclass(frozen=True)
class _Nuclei:
    """Nuclei of one kind: centers (m, 2) as x, y and longer half-axes (m,), in pixels."""

    centers: NDArray[np.float64]
    radii: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> "_Nuclei":
        return _Nuclei(self.centers[keep], self.radii[keep])


def make_slide(rng: Generator, variation: float) -> Slide:
    """Draw the look of a slide."""
    purple = 0.5 + 0.7 * variation * (rng.beta(0.5, 0.5) - 0.5)
    stains = _PINK ** (1 - purple) * _PURPLE**purple
    stains = stains * np.exp(variation * rng.normal(0, 0.05, (2, 3)))
    stains = stains * np.exp(variation * rng.normal(0, 0.10, (2, 1)))
    return Slide(
        stains=stains.T.astype(np.float32),
        glass=(248 - variation * rng.uniform(0, 12, 3)).astype(np.float32),
        lymphocyte_radius=rng.uniform(3.2, 3.9),
        tumour_radius=rng.uniform(6.2, 7.6),
        tumour_shade=rng.uniform(0.20, 0.30),
    )


def draw_patch(
    rng: Generator, slide: Slide, positive: bool, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the patch, and a mask of its tumour nuclei."""
    canvas, mask = np.zeros((2, size, size), np.uint8)
    tissue = _draw_noise(rng, size, 28)
    nest, is_tumour = _place_large_cells(rng, slide, positive, size)
    _paint_small_cells(rng, canvas, slide, tissue, nest)
    outlines = _paint_large_cells(rng, canvas, slide, nest, nucleoli=is_tumour)
    if is_tumour:
        _fill(mask, outlines, np.ones(len(outlines)))
    return _expose(rng, slide, tissue, canvas), mask > 0


def _place_large_cells(
    rng: Generator, slide: Slide, positive: bool, size: int
) -> tuple[_Nuclei, bool]:
    """Return a nest of large cells, empty in most negatives, and whether they are tumour."""
    chance = rng.random()
    is_tumour = positive or chance >= _HISTIOCYTES
    nest = _place_nest(rng, slide, positive or not is_tumour, size)
    if not positive and chance > _HISTIOCYTES + _BORDER_TUMOUR:
        nest = nest.where(np.zeros(len(nest.radii), bool))
    return nest, is_tumour


def _place_nest(rng: Generator, slide: Slide, central: bool, size: int) -> _Nuclei:
    """Return large nuclei: around one in the center, or else none that touches the center."""
    seed = _choose_seed(rng, central, size)
    first = _Nuclei(seed[None], np.array([slide.tumour_radius]))
    others = _scatter(rng, size, 2.4 * slide.tumour_radius, slide.tumour_radius)
    near = np.linalg.norm(others.centers - seed, axis=1) < rng.uniform(0.3, 0.9) * size
    others = others.where(near & _are_apart(others, first))
    nest = _Nuclei(np.vstack([seed, others.centers]), np.append(first.radii, others.radii))
    return nest if central else nest.where(~_reaches_center(nest, size))


def _choose_seed(rng: Generator, central: bool, size: int) -> NDArray[np.float64]:
    """Return a point well inside the center square, or else in the border."""
    border = (size - CENTER) / 2
    if central:
        return rng.uniform(border + 6, size - border - 6, 2)
    seed = rng.uniform(0, size, 2)
    seed[rng.integers(2)] = rng.uniform(0, border) + rng.integers(2) * (size - border)
    return seed


def _reaches_center(nuclei: _Nuclei, size: int) -> NDArray[np.bool_]:
    """Return for each nucleus whether part of it may lie in the center square."""
    middle = (size - CENTER) // 2 + (CENTER - 1) / 2
    distance = np.abs(nuclei.centers - middle).max(axis=1)
    return distance <= CENTER / 2 + nuclei.radii + 2  # The smooth edge takes 2 pixels.


def _scatter(rng: Generator, size: int, spacing: float, radius: float) -> _Nuclei:
    """Return nuclei on a jittered triangular lattice that reaches over the patch's edges."""
    steps = np.arange(-1, size / spacing / _ROW_HEIGHT + 2)
    lattice = np.empty((len(steps), len(steps), 2))
    lattice[..., 0] = steps + (steps[:, None] % 2) / 2
    lattice[..., 1] = steps[:, None] * _ROW_HEIGHT
    lattice += rng.uniform(-0.28, 0.28, lattice.shape) + rng.uniform(-1, 0, 2)
    centers = lattice.reshape(-1, 2) * spacing
    centers = centers[(np.abs(centers - size / 2) < size / 2 + radius).all(axis=1)]
    return _Nuclei(centers, radius * np.exp(rng.normal(0, 0.12, len(centers))))


def _are_apart(nuclei: _Nuclei, others: _Nuclei) -> NDArray[np.bool_]:
    """Return for each nucleus whether it keeps clear of all the others."""
    (x, y), (other_x, other_y) = nuclei.centers.T[..., None], others.centers.T
    # Real nuclei touch and overlap a little.
    reach = 0.85 * (nuclei.radii[:, None] + others.radii)
    return ((x - other_x) ** 2 + (y - other_y) ** 2 > reach**2).all(axis=1)


def _paint_small_cells(
    rng: Generator,
    canvas: NDArray[np.uint8],
    slide: Slide,
    tissue: NDArray[np.float32],
    nest: _Nuclei,
) -> None:
    """Draw lymphocytes where `tissue` is high, and round or spindle cells where it is low."""
    size, radius = len(canvas), slide.lymphocyte_radius
    stromal = _scatter(rng, size, 11, 1.35 * radius)
    stromal = stromal.where(_look_up(-tissue, stromal) > rng.uniform(0.5, 2.5))
    stromal = stromal.where(_are_apart(stromal, nest))
    lymphocytes = _scatter(rng, size, 2.35 * radius, radius)
    lymphocytes = lymphocytes.where(_look_up(tissue, lymphocytes) > rng.uniform(-1.9, 0.85))
    lymphocytes = lymphocytes.where(_are_apart(lymphocytes, nest))
    lymphocytes = lymphocytes.where(_are_apart(lymphocytes, stromal))
    # A patch has either spindle cells or round ones.
    outlines = _trace_outlines(rng, stromal, rng.choice([0.25, 0.7]), 0.04)
    _fill(canvas, outlines, rng.uniform(0.75, 1.0, len(outlines)))
    outlines = _trace_outlines(rng, lymphocytes, 0.7, 0.04)
    _fill(canvas, outlines, rng.uniform(0.75, 1.1, len(outlines)))


def _look_up(field: NDArray[np.float32], nuclei: _Nuclei) -> NDArray[np.float32]:
    """Return the value of the field under each nucleus."""
    columns, rows = np.clip(nuclei.centers, 0, len(field) - 1).astype(int).T
    return field[rows, columns]


def _paint_large_cells(
    rng: Generator, canvas: NDArray[np.uint8], slide: Slide, nuclei: _Nuclei, nucleoli: bool
) -> NDArray[np.int32]:
    """Draw pale nuclei with a dark rim, and return their outlines."""
    outlines = _trace_outlines(rng, nuclei, 0.6, 0.06)
    shades = slide.tumour_shade * rng.uniform(0.8, 1.2, len(outlines))
    _fill(canvas, outlines, shades)
    for outline, shade in zip(outlines, (1.8 * _INK * shades).tolist(), strict=True):
        cv2.polylines(canvas, [outline], True, shade, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    if nucleoli:
        offset = rng.uniform(-0.25, 0.25, nuclei.centers.shape) * nuclei.radii[:, None]
        spots = _Nuclei(nuclei.centers + offset, 0.28 * nuclei.radii)
        _fill(canvas, _trace_outlines(rng, spots, 0.7, 0.03), 2.4 * shades)
    return outlines


def _trace_outlines(
    rng: Generator, nuclei: _Nuclei, roundness: float, roughness: float
) -> NDArray[np.int32]:
    """Return fixed-point outlines, (m, points, 2): turned ellipses with a rough edge."""
    m = len(nuclei.radii)
    wobble = rng.normal(0, roughness, (m, 3)) + 1j * rng.normal(0, roughness, (m, 3))
    # No edge reaches beyond its half-axes, because the label depends on them.
    edge = np.minimum(1, 1 - 2 * roughness + (wobble @ _HARMONICS).real)
    minor = rng.uniform(roundness, min(1, roundness + 0.3), (m, 1))
    shape = edge * (np.cos(_ANGLES) + 1j * minor * np.sin(_ANGLES))
    shape *= nuclei.radii[:, None] * np.exp(1j * rng.uniform(0, np.pi, (m, 1)))
    points = np.stack([shape.real, shape.imag], axis=-1) + nuclei.centers[:, None]
    return np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)


def _fill(
    canvas: NDArray[np.uint8], outlines: NDArray[np.int32], shades: NDArray[np.float64]
) -> None:
    for outline, shade in zip(outlines, (_INK * shades).tolist(), strict=True):
        cv2.fillPoly(canvas, [outline], shade, cv2.LINE_AA, _SUBPIXEL_BITS)


def _expose(
    rng: Generator, slide: Slide, tissue: NDArray[np.float32], nuclei: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the light that the stained tissue lets through, (size, size, 3)."""
    size = len(nuclei)
    chromatin = _draw_noise(rng, size, 2.2)
    hematoxylin = nuclei * np.float32(1 / _INK)
    eosin = 0.5 - 0.15 * tissue + 0.15 * _draw_fibres(rng, size) + 0.12 * chromatin
    eosin = np.maximum(eosin, 0.05) * (1 - 0.5 * np.minimum(hematoxylin, 1))
    hematoxylin = hematoxylin * (1 + 0.15 * chromatin) + 0.08
    # Gaps between the cells show bare glass.
    gaps = (_draw_noise(rng, size, 22) > rng.uniform(1.0, 3.0)) & (nuclei == 0)
    hematoxylin[gaps] = eosin[gaps] = 0
    # The microscope blurs, tissue absorbs by Beer and Lambert, and the camera adds noise.
    stain = cv2.GaussianBlur(cv2.merge([hematoxylin, eosin]), (0, 0), 0.7)
    light = slide.glass * np.exp(-cv2.transform(stain, slide.stains))
    # One value for all three colours, so that the noise is grey.
    light += 3 * rng.standard_normal((size, size, 1), dtype=np.float32)
    return np.clip(light, 0, 255).astype(np.uint8)


def _draw_noise(rng: Generator, size: int, cell: float) -> NDArray[np.float32]:
    """Return noise that varies over `cell` pixels."""
    knots = max(2, round(size / cell) + 1)
    coarse = rng.standard_normal((knots, knots), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))


def _draw_fibres(rng: Generator, size: int) -> NDArray[np.float32]:
    """Return streaks of noise, 20 pixels long and 4 wide, in one random direction."""
    coarse = rng.standard_normal((size // 2, size // 10), dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # The coarse noise has one value per 20 x 4 pixels. It is twice as high and wide as the patch,
    # so the turned patch lies inside it.
    to_coarse = turn / [[20], [4]]
    shift = [[size / 20], [size / 4]] - to_coarse @ np.full((2, 1), size / 2)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    affine = np.hstack([to_coarse, shift])
    edge = cv2.BORDER_REFLECT
    return np.asarray(cv2.warpAffine(coarse, affine, (size, size), flags=flags, borderMode=edge))
