"""The keys of the live window: one table, which the help shows, too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Action(Enum):
    """What a key does."""

    QUIT = auto()
    TOGGLE = auto()
    COMPARE = auto()
    MIRROR = auto()
    RECORD = auto()
    SCREENSHOT = auto()
    FULL_SCREEN = auto()
    PANEL = auto()
    FIGURES = auto()
    HELP = auto()
    PREVIOUS = auto()
    NEXT = auto()
    LESS = auto()
    MORE = auto()
    ABSENT = auto()
    PRESENT = auto()
    RELEASE = auto()
    RELEASE_ALL = auto()


@dataclass(frozen=True)
class Key:
    """One line of the help.

    Attributes:
        label: what is written on the key, or keys.
        action: what it does.
        meaning: the same in words.
        codes: as OpenCV's waitKeyEx gives them: characters, and for other keys what X11 (Qt, GTK), Windows
            and macOS call them.
    """

    label: str
    action: Action
    meaning: str
    codes: tuple[int, ...]


def _letters(*letters: str) -> tuple[int, ...]:
    return tuple(ord(letter) for letter in letters)


_UP, _DOWN = (0xFF52, 0x260000, 0xF700), (0xFF54, 0x280000, 0xF701)
_LEFT, _RIGHT = (0xFF51, 0x250000, 0xF702), (0xFF53, 0x270000, 0xF703)
_F11, _DELETE = (0xFFC8, 0x7A0000, 0xF70E), (0xFFFF, 0x2E0000, 0xF728, 127)
_KEYPAD = {"+": 0xFFAB, "-": 0xFFAD}

KEYS = (
    Key("Up", Action.PREVIOUS, "choose the attribute above", _UP),
    Key("Down", Action.NEXT, "choose the attribute below", _DOWN),
    Key("Left  -", Action.LESS, "less of it", (*_LEFT, *_letters("-"), _KEYPAD["-"])),
    Key("Right  +", Action.MORE, "more of it", (*_RIGHT, *_letters("+", "="), _KEYPAD["+"])),
    Key("0", Action.ABSENT, "absent", _letters("0")),
    Key("1", Action.PRESENT, "present", _letters("1")),
    Key("Backspace", Action.RELEASE, "leave it as the face has it", (8, 0xFF08, *_DELETE)),
    Key("X", Action.RELEASE_ALL, "leave all as the face has them", _letters("x")),
    Key("Space", Action.TOGGLE, "edits on and off", _letters(" ")),
    Key("C", Action.COMPARE, "original beside the result", _letters("c")),
    Key("M", Action.MIRROR, "mirror the picture", _letters("m")),
    Key("R", Action.RECORD, "start and stop recording", _letters("r")),
    Key("S", Action.SCREENSHOT, "save a picture", _letters("s")),
    Key("P", Action.PANEL, "sliders on and off", _letters("p")),
    Key("I", Action.FIGURES, "frames a second, latency by stage", _letters("i")),
    Key("F  F11", Action.FULL_SCREEN, "full screen", (*_letters("f"), *_F11)),
    Key("H  ?", Action.HELP, "this help", _letters("h", "?")),
    Key("Q  Esc", Action.QUIT, "quit", (*_letters("q"), 27)),
)

_BY_CODE = {code: key.action for key in KEYS for code in key.codes}


def action_for(code: int) -> Action | None:
    """What the key of this waitKeyEx code does; None for no key (-1) and for keys without a meaning.

    Capital letters are as good as small ones; the bits that GTK adds for Caps Lock and Num Lock are ignored.
    """
    if code < 0:
        return None
    for candidate in (code, code & 0xFFFF):
        if ord("A") <= candidate <= ord("Z"):
            candidate += 32  # noqa: PLW2901
        if candidate in _BY_CODE:
            return _BY_CODE[candidate]
    return None
