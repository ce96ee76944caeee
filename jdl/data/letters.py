"""Letters in the format of scikit-learn's digits: data that a classifier of digits has never seen.

They are made as those digits were: a glyph on 32 x 32 dots, as high as the image, and a pixel is
the share of black dots in a cell of 4 x 4. The glyphs are outlines of the fonts that Matplotlib
carries with it, drawn with a pen of one width where the font's own stroke is thin, so that neither
size nor ink tells a letter from a digit: mean and deviation of a pixel are 0.32 and 0.38, those of
the digits 0.31 and 0.38. Some letters look like digits (B and I; O, S and Z beyond J): no detector
finds all.
"""

import numpy as np

from jdl.data.bundled import LabelledImages

DOTS, CELL = 32, 4
WIDEST = 24  # dots; nearly all digits are at most six pixels wide
INK = 0.305  # mean pixel of the digits
SLANTS = -0.15, 0.0, 0.15  # a handwritten letter leans to either side
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)


def letters(names: str = "ABCDEFGHIJ") -> LabelledImages:
    """Letters of 17 fonts, upright and leaning to both sides: images [51 * len(names), 8, 8, 1].

    The same on every call; the letters take turns, so that any part has all.

    Args:
        names: the letters, each a class.

    Returns:
        Images in [0, 1], labels, and the names.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: something else than different Latin letters.

    Example:
        >>> found = letters("AQ")
        >>> found.images.shape, found.labels[:4].tolist(), found.names
        ((102, 8, 8, 1), [0, 1, 0, 1], ('A', 'Q'))
    """
    if not (names.isascii() and names.isalpha() and len(set(names)) == len(names)):
        raise ValueError(f"names are different Latin letters, such as 'ABC'; got {names!r}")
    images = [
        _counted(_inked(_outline(font, letter, slant)))
        for slant in SLANTS
        for font in FONTS
        for letter in names
    ]
    labels = np.arange(len(images), dtype=np.int32) % len(names)
    return LabelledImages(np.stack(images)[..., None], labels, tuple(names))


def _outline(font, letter, slant):
    """The closed polygons of a glyph, each [points, 2], x to the right and y upward."""
    try:
        import matplotlib
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextPath
    except ImportError as error:
        raise ImportError("letters need Matplotlib: pip install matplotlib") from error
    file = f"{matplotlib.get_data_path()}/fonts/ttf/{font}.ttf"
    path = TextPath((0, 0), letter, size=100, prop=FontProperties(fname=file))
    shear = np.array([[1.0, 0.0], [slant, 1.0]])
    return [polygon @ shear for polygon in path.to_polygons() if len(polygon) > 2]


def _inked(polygons):
    """Dots [32, 32] of a glyph, by the pen whose mean ink comes nearest to that of digits."""
    drawn = [_thickened(_filled(polygons, DOTS - 2 * pen), pen) for pen in range(4)]
    return min(drawn, key=lambda dots: abs(dots.mean() - INK))


def _filled(polygons, height):
    """Dots [32, 32] inside of the polygons, which become `height` dots high, in the middle."""
    points = np.concatenate(polygons)
    low, extent = points.min(0), np.ptp(points, 0)
    width = min(extent[0] * height / extent[1], WIDEST - (DOTS - height))
    scale = np.array([width, height]) / extent
    centres = np.arange(DOTS) + 0.5
    x, y = centres[None], DOTS - centres[:, None]
    winding = np.zeros([DOTS, DOTS], int)
    for polygon in polygons:
        corners = (polygon - low) * scale + (DOTS - np.array([width, height])) / 2
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
            left = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
            winding += ((y0 <= y) & (y < y1) & (left > 0)).astype(int)
            winding -= ((y1 <= y) & (y < y0) & (left < 0)).astype(int)
    return winding != 0


def _thickened(dots, pen):
    """Dots within `pen` dots of a black one."""
    reach = range(-pen, pen + 1)
    padded = np.pad(dots, pen)
    return np.any(
        [
            padded[pen + i : pen + i + DOTS, pen + j : pen + j + DOTS]
            for i in reach
            for j in reach
            if i * i + j * j <= pen * pen
        ],
        0,
    )


def _counted(dots):
    """The share of black dots in each cell, [8, 8]."""
    cells = dots.reshape(DOTS // CELL, CELL, DOTS // CELL, CELL)
    return cells.mean((1, 3), dtype=np.float32)
