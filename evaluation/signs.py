"""How many signs are refused that are no digits: letters of scripts that the trainer does not draw, and symbols.

They are printed, in the font that comes with matplotlib; some of the symbols are such as the trainer draws
by pen. Some signs are a 0 or a 1 to any eye, so not all can be refused. Runs in this process, on the
model that is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digits import image
from digits.judgements import PRESENCE
from digits.network import Network
from evaluation import judging

FONT = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
BLOCKS = {  # of Unicode, without figures
    "Armenian": (range(0x531, 0x557), range(0x561, 0x587)),
    "Georgian": (range(0x10D0, 0x10F1),),
    "Hebrew": (range(0x5D0, 0x5EB),),
    "Arabic": (range(0x627, 0x63B), range(0x641, 0x64B)),
    "mathematical operators": (range(0x2200, 0x2300),),
    "geometric shapes": (range(0x25A0, 0x2600),),
    "symbols and dingbats": (range(0x2600, 0x2670), range(0x2701, 0x2768)),
}
SIDE, SIZE = 140, 90  # pixels of a picture, and of its sign
PAPER, INK = 235, 40


def report(reader: Network, least: float) -> str:
    """Return how many signs each block has, and the share whose presence is below the least of a digit, as a table."""
    known = FT2Font(str(FONT)).get_charmap()
    lines = ["| | signs | refused, % |", "| --- | --- | --- |"]
    for name, ranges in BLOCKS.items():
        presence = presences(reader, [chr(code) for codes in ranges for code in codes if code in known])
        lines.append(f"| {name} | {len(presence)} | {100 * (presence < least).mean():.1f} |")
    return "\n".join(lines)


def presences(reader: Network, signs: Iterable[str]) -> NDArray[np.float32]:
    font = ImageFont.truetype(FONT, SIZE)
    judgements, _ = judging.judge(reader, [image.look(printed(sign, font)) for sign in signs])
    return judgements[:, PRESENCE]


def printed(sign: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    paper = Image.new("L", (SIDE, SIDE), PAPER)
    ImageDraw.Draw(paper).text((SIDE / 2, SIDE / 2), sign, INK, font, anchor="mm")
    return paper
