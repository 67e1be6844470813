"""The live window's keys, and what they set: values of attributes, and what is shown. No window needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from aif.runtime.bundle.manifest import AttributeInfo

# What one key press adds or takes, and how near a dragged slider comes to 0 and 1 to be put there.
STEP, SNAP = 0.1, 0.06

Action = Enum(
    "Action",
    "QUIT TOGGLE COMPARE MIRROR RECORD SCREENSHOT FULL_SCREEN PANEL FIGURES HELP "
    "PREVIOUS NEXT LESS MORE ABSENT PRESENT RELEASE RELEASE_ALL",
)
SWITCHES = {
    Action.TOGGLE: "on",
    Action.COMPARE: "compare",
    Action.MIRROR: "mirror",
    Action.PANEL: "panel",
    Action.FIGURES: "figures",
    Action.HELP: "help",
    Action.FULL_SCREEN: "full_screen",
}


@dataclass(frozen=True)
class Key:
    """One line of the help; `codes` as OpenCV's waitKeyEx gives them on X11, Windows and macOS."""

    label: str
    action: Action
    meaning: str
    codes: tuple[int, ...]


def _key(label: str, action: Action, meaning: str, letters: str, *codes: int) -> Key:
    return Key(label, action, meaning, (*map(ord, letters), *codes))


KEYS = (
    _key("Up", Action.PREVIOUS, "choose the attribute above", "", 0xFF52, 0x260000, 0xF700),
    _key("Down", Action.NEXT, "choose the attribute below", "", 0xFF54, 0x280000, 0xF701),
    _key("Left  -", Action.LESS, "less of it", "-", 0xFF51, 0x250000, 0xF702, 0xFFAD),
    _key("Right  +", Action.MORE, "more of it", "+=", 0xFF53, 0x270000, 0xF703, 0xFFAB),
    _key("0", Action.ABSENT, "absent", "0"),
    _key("1", Action.PRESENT, "present", "1"),
    _key(
        "Backspace",
        Action.RELEASE,
        "leave it as the face has it",
        "\b\x7f",
        *(0xFF08, 0xFFFF, 0x2E0000, 0xF728),
    ),
    _key("X", Action.RELEASE_ALL, "leave all as the face has them", "x"),
    _key("Space", Action.TOGGLE, "edits on and off", " "),
    _key("C", Action.COMPARE, "original beside the result", "c"),
    _key("M", Action.MIRROR, "mirror the picture", "m"),
    _key("R", Action.RECORD, "start and stop recording", "r"),
    _key("S", Action.SCREENSHOT, "save a picture", "s"),
    _key("P", Action.PANEL, "sliders on and off", "p"),
    _key("I", Action.FIGURES, "frames a second, latency by stage", "i"),
    _key("F  F11", Action.FULL_SCREEN, "full screen", "f", 0xFFC8, 0x7A0000, 0xF70E),
    _key("H  ?", Action.HELP, "this help", "h?"),
    _key("Q  Esc", Action.QUIT, "quit", "q\x1b"),
)
_BY_CODE = {code: key.action for key in KEYS for code in key.codes}


def action_for(code: int) -> Action | None:
    """What the key of this waitKeyEx code does; None for no key (-1) and for keys without a meaning.

    Capital letters are as good as small ones; the bits that GTK adds for Caps Lock and Num Lock are ignored.
    """
    for candidate in (code, code & 0xFFFF) if code >= 0 else ():
        letter = candidate + 32 if ord("A") <= candidate <= ord("Z") else candidate
        if letter in _BY_CODE:
            return _BY_CODE[letter]
    return None


class Controls:
    """Sliders and switches: the values of the attributes that are edited, the place of the chosen attribute,
    and what is switched on. An attribute without a value is left as the face has it.
    """

    def __init__(
        self,
        attributes: Sequence[AttributeInfo],
        values: Mapping[str, float],
        *,
        compare: bool = False,
        mirror: bool = False,
    ) -> None:
        """Begin with these values; the first attribute that has one is chosen."""
        self.attributes = tuple(attributes)
        self.values = dict(values)
        names = [info.name for info in attributes]
        self.chosen = min((names.index(name) for name in values), default=0)
        self.on, self.panel = True, True
        self.compare, self.mirror = compare, mirror
        self.figures = self.help = self.full_screen = False

    def apply(self, action: Action, seen: Mapping[str, float] | None = None) -> None:
        """Do what a key says, as far as it is a matter of sliders and switches.

        `seen`: the values that the model predicts, from which a first step starts; None = no face in sight.
        """
        if action in SWITCHES:
            name = SWITCHES[action]
            setattr(self, name, not getattr(self, name))
            return
        info = self.attributes[self.chosen]
        value = self.values.get(info.name, round((seen or {}).get(info.name, 0.5), 1))
        match action:
            case Action.PREVIOUS | Action.NEXT:
                step = 1 if action is Action.NEXT else -1
                self.chosen = (self.chosen + step) % len(self.attributes)
            case Action.LESS:
                self.set_value(self.chosen, value - STEP)
            case Action.MORE:
                self.set_value(self.chosen, value + STEP)
            case Action.ABSENT:
                self.set_value(self.chosen, 0.0)
            case Action.PRESENT:
                self.set_value(self.chosen, 1.0)
            case Action.RELEASE:
                self.release(self.chosen)
            case Action.RELEASE_ALL:
                self.values.clear()

    def set_value(self, index: int, value: float) -> None:
        """Set an attribute, kept within its range, and choose it."""
        info = self.attributes[index]
        self.chosen = index
        self.values[info.name] = round(min(max(value, info.minimum), info.maximum), 2) + 0.0

    def drag(self, index: int, value: float) -> None:
        """Set an attribute by mouse: 0 and 1 attract."""
        near = next((mark for mark in (0.0, 1.0) if abs(value - mark) < SNAP), value)
        self.set_value(index, near)

    def release(self, index: int) -> None:
        """Choose an attribute and leave it as the face has it."""
        self.chosen = index
        self.values.pop(self.attributes[index].name, None)
