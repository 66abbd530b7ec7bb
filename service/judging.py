"""From the images of a request to the network's judgements of them, asked twice where it is unsure.

    images -> judged -> of which it is unsure -> their whole pictures, judged -> the surer of both

How images came about, and what is told of them, is not for here.
"""

from __future__ import annotations

import numpy as np

from digits.judgements import COLUMNS, Judgements, take_surer, unsure
from service.engine import Engine
from service.intake import Intake
from service.items import Images


async def judge(intake: Intake, engine: Engine, images: Images, deadline: float | None = None) -> Judgements:
    """Return (n, 11) judgements, NaN for what was refused; `images` tells of the looks that these come from.

    Raises `Late` if their turn does not come before a deadline on the monotonic clock.
    """
    if len(images.refused) == len(images):
        return unread(len(images))
    with engine.counts.request():
        if images.refused:
            rows = await first_look(intake, engine, images, deadline)
        else:
            rows = await intake.ask(engine, images.pixels, deadline)
        return await second_look(intake, engine, images, rows) if images.sights else rows


async def first_look(intake: Intake, engine: Engine, images: Images, deadline: float | None) -> Judgements:
    """Judge what was not refused."""
    rows, good = unread(len(images)), [index for index in range(len(images)) if index not in images.refused]
    rows[good] = await intake.ask(engine, images.pixels[good], deadline)
    return rows


async def second_look(intake: Intake, engine: Engine, images: Images, rows: Judgements) -> Judgements:
    """Return the judgements, with those of whole pictures where they are surer; whose turn has come is answered."""
    wholes = images.wholes
    if asked := unsure(rows, wholes):
        again = await intake.ask(engine, np.stack([wholes[index].pixels for index in asked]))
        for index in take_surer(rows, asked, again):
            images.replace(index, wholes[index])
    return rows


def unread(count: int) -> Judgements:
    return np.full((count, COLUMNS), np.nan, np.float32)
