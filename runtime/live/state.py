"""What the user of the live window has set: values of attributes, and what is shown. No window needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.live.keys import Action

# What one key press adds or takes, and how near a dragged slider comes to 0 and 1 to be put there.
STEP, SNAP = 0.1, 0.06


class Controls:
    """Sliders and switches. An attribute without a value is left as the face has it.

    Attributes:
        attributes: all that can be edited.
        values: attribute to wanted value, for those that are edited.
        chosen: place of the attribute that keys change.
        on, compare, mirror, panel, figures, help, full_screen: the switches.
    """

    _SWITCHES = {  # noqa: RUF012
        Action.TOGGLE: "on",
        Action.COMPARE: "compare",
        Action.MIRROR: "mirror",
        Action.PANEL: "panel",
        Action.FIGURES: "figures",
        Action.HELP: "help",
        Action.FULL_SCREEN: "full_screen",
    }

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

        Args:
            action: the key's.
            seen: the values that the model predicts, from which a first step starts; None = no face in sight.
        """
        if action in self._SWITCHES:
            name = self._SWITCHES[action]
            setattr(self, name, not getattr(self, name))
            return
        info = self.attributes[self.chosen]
        value = self.values.get(info.name, round((seen or {}).get(info.name, 0.5), 1))
        if action is Action.PREVIOUS or action is Action.NEXT:
            step = 1 if action is Action.NEXT else -1
            self.chosen = (self.chosen + step) % len(self.attributes)
        elif action is Action.LESS:
            self.set_value(self.chosen, value - STEP)
        elif action is Action.MORE:
            self.set_value(self.chosen, value + STEP)
        elif action is Action.ABSENT:
            self.set_value(self.chosen, 0.0)
        elif action is Action.PRESENT:
            self.set_value(self.chosen, 1.0)
        elif action is Action.RELEASE:
            self.values.pop(info.name, None)
        elif action is Action.RELEASE_ALL:
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
