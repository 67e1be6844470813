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
    """One line of the help; letters and codes as OpenCV's waitKeyEx gives them on X11, Windows and macOS."""

    label: str
    action: Action
    meaning: str
    letters: str = ""
    codes: tuple[int, ...] = ()


_DELETE = (0xFF08, 0xFFFF, 0x2E0000, 0xF728)
KEYS = (
    Key("Up", Action.PREVIOUS, "choose the attribute above", codes=(0xFF52, 0x260000, 0xF700)),
    Key("Down", Action.NEXT, "choose the attribute below", codes=(0xFF54, 0x280000, 0xF701)),
    Key("Left  -", Action.LESS, "less of it", "-", (0xFF51, 0x250000, 0xF702, 0xFFAD)),
    Key("Right  +", Action.MORE, "more of it", "+=", (0xFF53, 0x270000, 0xF703, 0xFFAB)),
    Key("0", Action.ABSENT, "absent", "0"),
    Key("1", Action.PRESENT, "present", "1"),
    Key("Backspace", Action.RELEASE, "leave it as the face has it", "\b\x7f", _DELETE),
    Key("X", Action.RELEASE_ALL, "leave all as the face has them", "x"),
    Key("Space", Action.TOGGLE, "edits on and off", " "),
    Key("C", Action.COMPARE, "original beside the result", "c"),
    Key("M", Action.MIRROR, "mirror the picture", "m"),
    Key("R", Action.RECORD, "start and stop recording", "r"),
    Key("S", Action.SCREENSHOT, "save a picture", "s"),
    Key("P", Action.PANEL, "sliders on and off", "p"),
    Key("I", Action.FIGURES, "frames a second, latency by stage", "i"),
    Key("F  F11", Action.FULL_SCREEN, "full screen", "f", (0xFFC8, 0x7A0000, 0xF70E)),
    Key("H  ?", Action.HELP, "this help", "h?"),
    Key("Q  Esc", Action.QUIT, "quit", "q\x1b"),
)
_BY_CODE = {code: key.action for key in KEYS for code in (*map(ord, key.letters), *key.codes)}


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
            case Action.LESS | Action.MORE:
                self.set_value(self.chosen, value + (STEP if action is Action.MORE else -STEP))
            case Action.ABSENT | Action.PRESENT:
                self.set_value(self.chosen, float(action is Action.PRESENT))
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
