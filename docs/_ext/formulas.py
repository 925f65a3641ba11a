"""Formulas as SVG outlines, set by matplotlib: the same in every browser, without a script, a font or a network."""

from collections.abc import Sequence
from html import escape
from itertools import chain

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

SIZE = 100  # units of the outlines in an em
COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
LARGE = 1.2  # em, of a formula on a line of its own


def svg(latex: str, scale: float = 1.1) -> str:
    """LaTeX as an SVG image on the base line of the text, in its colour; ValueError for what cannot be set."""
    path = TextPath((0, 0), f"${latex.strip()}$", size=SIZE, prop=FontProperties(math_fontfamily="cm"))
    outline = "".join(
        COMMANDS[code]
        + ("" if code == Path.CLOSEPOLY else " ".join(f"{number:.0f}" for number in flipped(points.tolist())))
        for points, code in path.iter_segments(curves=True, simplify=False)
    )
    box = path.get_extents()
    em = scale / SIZE
    return (
        f'<svg class="formula" role="img" aria-label="{escape(latex.strip())}" '
        f'viewBox="{box.x0:.0f} {-box.y1:.0f} {box.width + 1:.0f} {box.height + 1:.0f}" '
        f'style="width:{box.width * em:.3f}em;height:{box.height * em:.3f}em;vertical-align:{box.y0 * em:.3f}em">'
        f'<path d="{outline}"/></svg>'
    )


def flipped(points: Sequence[float]) -> list[float]:
    """Points x, y, x, y, … whose second axis points down, as in SVG."""
    return list(chain.from_iterable((x, -y) for x, y in zip(points[::2], points[1::2], strict=True)))


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(svg(node.astext()))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on a line of its own."""
    translator.body.append(f'<div class="formula">{svg(node.astext(), LARGE)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_html_math_renderer("outlines", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
