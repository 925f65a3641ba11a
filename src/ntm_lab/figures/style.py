"""What figures share: colours that everyone can tell apart, and that a notebook shows them."""

from io import BytesIO

from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design", without their yellow, too light for a line.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"


class Picture(Figure):
    """A figure that a notebook shows as it is, without ``%matplotlib inline`` too."""

    def _repr_png_(self) -> bytes:
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()
