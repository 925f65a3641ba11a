"""What figures share: colours that everyone can tell apart, and that a notebook shows them."""

from io import BytesIO

from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design", without their yellow, too light for a line.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"

# Of one sequence, nearly as on the page of `ntm-lab show`: orange writes, blue reads, red and crossed out is wrong.
INK, MUTED, LINE, CELL = "#1B1E24", "#6A6D75", "#C9C5B8", "#EEECE5"
WRITE, READ, WRONG, WRONG_LIGHT = "#E08A00", BLUE, "#D7263D", "#F0939D"


def _shades(name: str, *colours: str) -> Colormap:
    return LinearSegmentedColormap.from_list(name, colours).with_extremes(bad="white")  # what is not scored


SHADES = {
    "bits": _shades("bits", "#A8467F", CELL, INK),  # −1, 0, 1: of input, target and output alike
    "signed": _shades("signed", "#7A2459", "#A8467F", CELL, "#00825F", "#00513B"),
    "write": _shades("write", CELL, "#EDB457", WRITE),
    "read": _shades("read", CELL, "#5FA6CF", READ),
    "neutral": _shades("neutral", CELL, "#8B8D92", INK),
}
"""Colour maps by what they are for; of all but the first two the small half is stretched, so that 0.05 can be seen."""


class Picture(Figure):
    """A figure that a notebook shows as it is, without ``%matplotlib inline`` too."""

    def _repr_png_(self) -> bytes:
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()
