"""What a manifest says of attributes: range, calibration, what goes along, colours of make-up and of hair."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Group = Literal["expression", "face", "hair"]
Part = Literal["brows", "eyes", "nose", "cheeks", "mouth", "jaw", "moustache", "beard"]
MakeupPlace = Literal["lips", "line", "lids"]
Share = Annotated[float, Field(ge=0, le=1)]

# Calibrated values may be this far out.
LEAST, MOST = -3.0, 4.0


class Frozen(BaseModel):
    """A part of a manifest: unchangeable, no unknown fields, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MakeupInfo(Frozen):
    """Colours of the places that make-up is put on (line: of the upper lashes), of people who plainly have it
    (`on`) and of people who have not (`off`): log R, G, B over the skin's."""

    on: dict[MakeupPlace, tuple[float, float, float]]
    off: dict[MakeupPlace, tuple[float, float, float]]

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if self.on.keys() != self.off.keys():
            raise ValueError("make-up has other places with it than without")
        return self


class AttributeInfo(Frozen):
    """One column of y.

    `minimum` and `maximum` bound the values that the decoder still turns into a face (0 = absent, 1 =
    present; beyond them the edit is exaggerated). `default_on` is the value that shows the attribute
    plainly.

    `off` and `on` are the calibration: what the decoder has to get for a wanted 0 where the attribute is
    present, and for a wanted 1 where it is absent. With u the encoder's value and v the wanted one, the
    decoder gets u + s (v - u), with s = `on` for v > u and s = 1 - `off` for v < u.

    `takes_along` maps other attributes of the bundle to the share (0 to 1) of their way to the same end by
    which an edit of this one moves them; `takes_along_off` has other shares, for edits towards 0. `excludes`
    names those that become 0 where this one becomes 1. All unless the user sets them.

    `region` names the parts of the face that the attribute is about; there alone its edit moves and tints
    (brows, moustache and beard: hair by hair, without the lips). Without any, all of it. `still`: it tints
    and moves nothing, as make-up does. `shaven`: as it comes, it darkens nothing where beards grow: young
    men's are dark, but youth is no beard. `bearded`: the value at which faces have a beard; as it goes, they
    are shaved.
    `unfolds`: the value towards which folds and shadows of the skin fade, of expressions around the mouth,
    else anywhere; away from it, but for expressions, folds of age come.
    `group` is for menus. `makeup`: that the attribute is make-up, and its colours.
    """

    name: Name
    minimum: float = -1.0
    maximum: float = 2.0
    default_on: float = 1.0
    off: Annotated[float, Field(ge=LEAST, le=0.8)] = 0.0
    on: Annotated[float, Field(ge=0.2, le=MOST)] = 1.0
    takes_along: dict[Name, Share] = {}
    takes_along_off: dict[Name, Share] = {}
    excludes: tuple[Name, ...] = ()
    region: tuple[Part, ...] = ()
    still: bool = False
    shaven: bool = False
    bearded: Literal[0, 1] | None = None
    unfolds: Literal[0, 1] | None = None
    group: Group = "face"
    makeup: MakeupInfo | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not (self.minimum <= 0 and self.maximum >= 1):
            raise ValueError(f"the range of {self.name} must hold 0 and 1")
        if not self.minimum <= self.default_on <= self.maximum:
            raise ValueError(f"default_on of {self.name} is outside its range")
        if self.name in self.others:
            raise ValueError(f"{self.name} takes along or excludes itself")
        if not self.takes_along_off.keys() <= self.takes_along.keys():
            raise ValueError(f"{self.name} takes along towards 0 what it does not take along otherwise")
        return self

    @property
    def bares(self) -> bool:
        """Whether its edits bare skin: a beard's, or that of folds."""
        return self.bearded is not None or self.unfolds is not None

    @property
    def others(self) -> frozenset[str]:
        """All attributes that an edit of this one may change."""
        return frozenset((*self.takes_along, *self.excludes))


class HairColour(Frozen):
    """Colour of hair, as means over people.

    `lightness` is the log luminance of the hair over that of the skin, `red` and `blue` are log(R / G) and
    log(B / G) of the hair, `contrast` is the standard deviation of log luminance within the hair.
    """

    lightness: float
    red: float
    blue: float
    contrast: Annotated[float, Field(ge=0)]


class HairInfo(Frozen):
    """Hair of people who have the attribute (`on`), and of people who have not (`off`)."""

    on: HairColour
    off: HairColour
