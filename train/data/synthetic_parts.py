"""The parts of a synthetic face, from the back of the hair to the brim of the hat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from aif.train.data.synthetic_canvas import Canvas, Colour, Points, arch, curve, darker, ellipse, mix

WHITE: Colour = (250, 248, 244)
FRAMES: tuple[Colour, ...] = ((30, 28, 30), (112, 40, 36), (40, 56, 110), (120, 84, 44))
HATS: tuple[Colour, ...] = ((176, 40, 48), (36, 64, 140), (34, 110, 84), (98, 52, 128), (40, 42, 50))


class Look(SimpleNamespace):
    """A face's colours skin, hair, iris and clothes, and the numbers of `synthetic_draw.RANGES`."""


@dataclass(frozen=True)
class Head:
    """Where the parts of one face lie, in template units, and how they look."""

    look: Look
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    nose: tuple[float, float]
    mouth: tuple[float, float]
    present: Mapping[str, bool]

    def corners(self, neutral: bool = False) -> tuple[float, float]:
        """Half the width of the mouth, and how far its corners lie below its middle (negative: above)."""
        if neutral:
            return self.look.mouth, 0.0
        if self.present["Smiling"]:
            return self.look.mouth * 1.28, -self.look.grin
        return self.look.mouth * (0.8 if self.present["Mouth_Slightly_Open"] else 1.0), self.look.mood

    def landmarks(self, neutral: bool) -> Points:
        """The five landmarks (5, 2); `neutral` as if the mouth were at rest."""
        half, hang = self.corners(neutral)
        x, y = self.mouth
        corners = [(x - half, y + hang), (x + half, y + hang)]
        return np.array([self.left_eye, self.right_eye, self.nose, *corners])


def paint(canvas: Canvas, head: Head) -> None:
    """Paint the whole head over the background."""
    _hair_behind(canvas, head)
    _neck(canvas, head)
    _face(canvas, head)
    _nose(canvas, head)
    _mouth(canvas, head)
    for x, y in (head.left_eye, head.right_eye):
        _eye(canvas, head, x, y, outward=-1.0 if x < 64 else 1.0)
    _hair_before(canvas, head)
    if head.present["Eyeglasses"]:
        _glasses(canvas, head)
    if head.present["Wearing_Hat"]:
        _hat(canvas, head)


def _hair_behind(canvas: Canvas, head: Head) -> None:
    look, shade = head.look, darker(head.look.hair, 0.18)
    if head.present["Male"]:
        canvas.fill(ellipse(64, 58, look.width + 4, 50), shade, -6)
        return
    reach = look.width + look.volume + 6
    top = arch(64, 62, reach, 52 + look.volume * 0.3)
    tips = [(68 + reach, 110), (62 + reach, 150), (66 - reach, 150), (60 - reach, 110)]
    canvas.fill(np.concatenate([top, tips]), shade, -10)


def _neck(canvas: Canvas, head: Head) -> None:
    look = head.look
    half = 21 if head.present["Male"] else 16
    neck = np.array([(64 - half, 100.0), (64 + half, 100.0), (64 + half + 3, 150.0), (64 - half - 3, 150.0)])
    canvas.fill(neck, darker(look.skin, 0.2), -8)
    shoulders = np.array([(64 - half - 3, 127.0), (64.0, 137.0), (64 + half + 3, 127.0), (160.0, 142.0),
                          (160.0, 170.0), (-32.0, 170.0), (-32.0, 142.0)])  # fmt: skip
    canvas.fill(shoulders, look.clothes, -8)


def _face(canvas: Canvas, head: Head) -> None:
    look, male = head.look, head.present["Male"]
    if male:
        for side in (-1, 1):
            canvas.fill(ellipse(64 + side * (look.width + 1), 72, 5.5, 9.5), darker(look.skin, 0.1), -4)
    jaw = look.jaw + (0.5 if male else 0.0)
    angle = np.linspace(-np.pi, np.pi, 45)[:-1]
    x, y = np.sin(angle), np.cos(angle)  # from the top round to the chin
    below = np.clip(y, 0, 1)
    power = 1 - 0.34 * jaw * below
    outline = np.sign(x) * np.abs(x) ** power * look.width * (1 - (0.17 - 0.17 * jaw) * below)
    height = np.where(y > 0, (look.chin - 68) * np.abs(y) ** (1 - 0.1 * jaw), 50.0 * y)
    shape = np.stack([64 + outline, 68 + height], axis=1)
    canvas.fill(shape, darker(look.skin, 0.10), 0)
    canvas.fill((shape - (64, 70)) * (0.93, 0.95) + (64, 70), darker(look.skin, 0.04), 4)
    canvas.fill((shape - (64, 70)) * (0.84, 0.88) + (64, 70), look.skin, 8)
    if male:
        beard = darker(mix(look.skin, look.hair, 0.2), 0.16)
        lower = shape[shape[:, 1] > 84]
        inner = np.stack([np.linspace(89, 39, 9), 91 - 3 * np.cos(np.linspace(-1.5, 1.5, 9))], axis=1)
        canvas.fill(np.concatenate([lower[np.argsort(lower[:, 0])], inner]), beard, 2)
    blush = mix(look.skin, (226, 92, 84), 0.20 if head.present["Smiling"] else 0.08)
    for side in (-1, 1):
        canvas.fill(ellipse(64 + side * 24, 86, 8.5, 6), mix(look.skin, blush, 0.6), 16)
        canvas.fill(ellipse(64 + side * 24, 86, 6, 4), blush, 16)


def _nose(canvas: Canvas, head: Head) -> None:
    x, y = head.nose
    look, half = head.look, 6.0 * head.look.nose
    shadow = darker(look.skin, 0.14)
    canvas.fill(np.array([(x + 1.5, y - 18), (x + half, y + 1), (x, y + 3.5), (x + 2, y - 4)]), shadow, 34)
    canvas.fill(ellipse(x, y, half * 0.72, 3.6), mix(look.skin, WHITE, 0.14), 42)
    for side in (-1, 1):
        canvas.fill(ellipse(x + side * half * 0.5, y + 3.2, 1.5, 1.0), darker(look.skin, 0.5), 38)


def _mouth(canvas: Canvas, head: Head) -> None:
    x, y = head.mouth
    look, smiling = head.look, head.present["Smiling"]
    half, hang = head.corners()
    ends = y + hang
    middle = y + (look.grin * 0.35 if smiling else 0.0)
    red: Colour = (176, 84, 80) if head.present["Male"] else (200, 46, 66)
    lip = mix(look.skin, red, 0.45 if head.present["Male"] else 0.75)
    thick = look.lips * (0.8 if head.present["Male"] else 1.15)
    if head.present["Mouth_Slightly_Open"]:
        gape = look.gape * (1.25 if smiling else 0.9)
        bottom = middle + gape
        rim = curve(x, half + 1.2, ends - 0.4, middle - 2.6 * thick)
        canvas.between(rim, curve(x, half + 1.2, ends + 0.6, bottom + 3.0 * thick), lip, 28)
        inside = curve(x, half - 0.6, ends, middle)
        canvas.between(inside, curve(x, half - 0.6, ends, bottom), (74, 18, 26), 28)
        depth = 0.55 if smiling else 0.38
        teeth = curve(x, half * 0.82, ends + 0.3, middle + 0.1)
        under = curve(x, half * 0.82, ends + 0.5, middle + gape * depth)
        canvas.between(teeth, under, WHITE, 28)
        if not smiling:
            canvas.fill(ellipse(x, bottom - 1.2, half * 0.45, 1.4), (176, 70, 76), 28)
    else:
        upper, lower = (curve(x, half, ends, middle + rise * thick) for rise in (-2.4, 3.4))
        canvas.between(upper, lower, lip, 28)
        canvas.line(curve(x, half, ends, middle), darker(lip, 0.45), 1.3, 28)
    if smiling:
        for side in (-1, 1):
            path = [(half - 3, ends - 13), (half + 3.5, ends - 6), (half + 4.0, ends + 2)]
            canvas.line([(x + side * a, b) for a, b in path], darker(look.skin, 0.2), 1.2, 26)


def _eye(canvas: Canvas, head: Head, x: float, y: float, outward: float) -> None:
    look, male = head.look, head.present["Male"]
    wide, high = 8.2 * look.eye, 4.9 * look.eye
    canvas.fill(ellipse(x, y - 0.6, wide + 1.8, high + 2.2), darker(look.skin, 0.13), 24)
    upper = curve(x, wide, y + 0.4, y - high)
    lower = curve(x, wide, y + 0.4, y + high * (0.45 if head.present["Smiling"] else 0.8))
    canvas.between(upper, lower, WHITE, 26)
    radius = 3.7 * look.eye
    iris_x, iris_y = x + look.gaze, y - 0.9
    canvas.fill(ellipse(iris_x, iris_y, radius, radius), look.iris, 26)
    canvas.fill(ellipse(iris_x, iris_y, radius * 0.5, radius * 0.5), (16, 14, 16), 26)
    canvas.fill(ellipse(iris_x - 1.2, iris_y - 1.3, 0.9, 0.9), WHITE, 26)
    canvas.line(upper, darker(look.skin, 0.72), 1.2 if male else 2.0, 26)
    if not male:
        lash = [(x + outward * wide * 0.75, y - 2.2), (x + outward * (wide + 2.6), y - 4.2)]
        canvas.line(lash, (30, 22, 24), 1.6, 26)
    if head.present["Smiling"]:
        canvas.line(curve(x, wide * 0.8, y + 3.4, y + high * 0.72 + 1.4), darker(look.skin, 0.22), 1.0, 26)
    brow_y, thick = y - look.brow, 3.4 if male else 1.9
    brow = [(-wide * 0.9, brow_y + 1.4), (2, brow_y - 1.2), (wide + 3, brow_y + 1.8)]
    canvas.line(
        [(x + outward * a, b) for a, b in brow], mix(darker(look.hair, 0.35), look.skin, 0.1), thick, 26
    )


def _hair_before(canvas: Canvas, head: Head) -> None:
    look, male = head.look, head.present["Male"]
    colour, light = look.hair, mix(look.hair, WHITE, 0.16)
    reach, top = look.width + (3.5 if male else 5.0), 14.0 - look.volume * 0.7
    crown = arch(64, 58, reach, 58 - top)
    side = 74.0 if male else 96.0
    inner = look.width - (3.0 if male else 5.0)
    part = 64 + look.parting
    hairline = np.array([
        (64 + reach, side), (64 + inner, side - 4), (64 + inner - 1, 52.0), (64 + inner - 9, 38.0),
        (part, 29.0), (64 - inner + 9, 38.0), (64 - inner + 1, 52.0), (64 - inner, side - 4),
        (64 - reach, side),
    ])  # fmt: skip
    canvas.fill(np.concatenate([crown, hairline]), colour, 6)
    for shift in (-22.0, -10.0, 12.0, 24.0):
        strand = [(part + shift * 0.4, top + 5), (64 + shift * 1.1, 27 + abs(shift) * 0.25)]
        canvas.line(strand, light, 1.4, 6)
    if head.present["Bangs"]:
        reach = look.width - 6
        across = np.linspace(reach, -reach, 11)
        teeth = np.where(np.arange(11) % 2 == 0, -3.5, 1.5)
        edge = np.stack([64 + across, look.fringe + teeth - 4 * (across / reach) ** 2], axis=1)
        crest = [(64 - reach, 30.0), (64.0, 22.0), (64 + reach, 30.0)]
        canvas.fill(np.concatenate([crest, edge]), colour, 14)
        for i in (2, 4, 6, 8):
            x = 64 + float(across[i])
            canvas.line([(64 + (x - 64) * 0.6, 26.0), (x, float(edge[i, 1]))], darker(colour, 0.22), 1.2, 14)


def _glasses(canvas: Canvas, head: Head) -> None:
    look = head.look
    colour = FRAMES[int(look.frame_colour * len(FRAMES))]
    power = 1.0 if look.frames < 0.5 else 0.45  # round or rectangular
    for x, y in (head.left_eye, head.right_eye):
        unit = ellipse(0, 0, 1, 1)
        rim = np.sign(unit) * np.abs(unit) ** power * (13.5, 11.5 if power == 1.0 else 9.5) + (x, y + 1)
        canvas.ring(rim, colour, 2.6, 30)
        canvas.line([(x - 7, y + 5), (x - 2, y - 5)], mix(look.skin, WHITE, 0.7), 1.0, 30)
    (left, y), (right, _) = head.left_eye, head.right_eye
    canvas.line([(left + 13, y), (64, y - 2.5), (right - 13, y)], colour, 2.4, 32)
    canvas.line([(left - 13, y - 1), (64 - look.width, y - 3)], colour, 2.4, 14)
    canvas.line([(right + 13, y - 1), (64 + look.width, y - 3)], colour, 2.4, 14)


def _hat(canvas: Canvas, head: Head) -> None:
    look = head.look
    colour = HATS[int(look.hat_colour * len(HATS))]
    reach = look.width + 7
    canvas.between(arch(64, 36, reach, 46), curve(64, reach, 36, 32), colour, 8)
    band = (curve(64, reach + 1, 29, 24), curve(64, reach + 1, 39, 35))
    if look.hat < 0.5:  # a knitted cap with a turned-up edge
        canvas.between(*band, mix(colour, WHITE, 0.3), 10)
        for x in np.linspace(-0.9, 0.9, 9) * reach:
            rise = 5 * (x / reach) ** 2
            canvas.line([(64 + x, 25 + rise), (64 + x, 34 + rise)], mix(colour, WHITE, 0.08), 1.2, 10)
    else:  # a hat with a ribbon and a brim
        canvas.between(*band, darker(colour, 0.4), 10)
        upper, lower = curve(64, reach + 17, 39, 32), curve(64, reach + 17, 40, 41)
        canvas.between(upper, lower, mix(colour, WHITE, 0.12), 14)
