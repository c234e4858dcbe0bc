"""The small vocabulary of shapes: process, descriptor, in flight, message, kernel object, blocked. docs/face.md shows
them.

Coordinates are user units, which are CSS pixels at the drawing's natural width. A drawing carries classes only: neither
style attributes nor colours, so that one style sheet serves light, dark and paper.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from pairscope.web.words import clip

GLYPHS = (
    "M0-5 5 0 0 5-5 0Z",
    "M-4-4H4V4H-4Z",
    "M0-5 5 4H-5Z",
    "M-4.5 0A4.5 4.5 0 1 1 4.5 0A4.5 4.5 0 1 1-4.5 0Z",
    "M0 5 5-4H-5Z",
    "M-5-2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
)
"""Marks: diamond, square, triangle, circle, inverted triangle, cross. They are few and come again, so a number always
stands beside one."""


def glyph_of(device: int, inode: int) -> int:
    """Which mark a file carries: the same wherever it appears, on every page. Of its open file descriptions it says
    nothing."""
    return (inode * 2654435761 + device) // 7 % len(GLYPHS)


TARGET = 28
"""The least height of what can be pressed: 24 CSS pixels (WCAG 2.2, 2.5.8) where a drawing is shrunk to 0.86."""


class Card(NamedTuple):
    """What stands in a process's box."""

    role: str
    name: str
    lines: list[str]
    state: str = ""
    word: str = ""
    """Its state, in a word."""
    href: str = ""


class Drawing:
    """An SVG under construction. Later shapes lie above earlier ones."""

    def __init__(self, name: str, width: float, height: float, title: str, description: str, layout: str = "") -> None:
        self.name = name
        self.width = width
        self.height = height
        self._title = title
        self._description = description
        self._layout = layout
        self._parts: list[Markup] = []
        self._links = False

    def element(self, tag: str, content: Any = "", /, **attributes: Any) -> None:
        """One element; an underscore at the end of an attribute's name is dropped, others become hyphens."""
        self._parts.append(element(tag, content, **attributes))

    def open(self, tag: str, /, **attributes: Any) -> None:
        """Opens an element, which :meth:`shut` closes."""
        self._links |= tag == "a"
        self._parts.append(Markup("<{}{}>").format(Markup(tag), _attributes(attributes)))  # noqa: S704  # a tag is a literal of our own

    def shut(self, tag: str) -> None:
        """Closes the element that was opened last."""
        self._parts.append(Markup("</{}>").format(Markup(tag)))  # noqa: S704  # a tag is a literal of our own

    def link(self, href: str, x: float, y: float, width: float, height: float, /, **attributes: Any) -> None:
        """Opens an ``a`` that is pressed anywhere in the given box, also between the shapes in it and whatever room
        their letters take."""
        self.open("a", href=href, **attributes)
        low = max(height, TARGET)
        self.rect(x, y - (low - height) / 2, width, low, "surface")

    def text(self, x: float, y: float, content: Any, class_: str = "", anchor: str = "start") -> None:
        """Text from (x, y), or around it by `anchor`."""
        self.element(
            "text", content, x=_n(x), y=_n(y), class_=class_ or None, text_anchor=None if anchor == "start" else anchor
        )

    def rect(self, x: float, y: float, width: float, height: float, class_: str, rx: float = 0) -> None:
        """A rectangle whose upper left corner is (x, y)."""
        self.element(
            "rect", x=_n(x), y=_n(y), width=_n(width), height=_n(height), rx=_n(rx) if rx else None, class_=class_
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> None:
        """A straight line."""
        self.element("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_=class_)

    def dot(self, x: float, y: float, radius: float, class_: str) -> None:
        """A filled circle around (x, y)."""
        self.element("circle", cx=_n(x), cy=_n(y), r=_n(radius), class_=class_)

    def path(self, d: str, class_: str) -> None:
        """A path; `d` as SVG has it."""
        self.element("path", d=d, class_=class_)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> None:
        """A line with its head at the second point."""
        angle = math.atan2(y2 - y1, x2 - x1)
        self.line(x1, y1, x2 - 6 * math.cos(angle), y2 - 6 * math.sin(angle), class_)
        wings = [(x2 - 8 * math.cos(angle + turn), y2 - 8 * math.sin(angle + turn)) for turn in (0.42, -0.42)]
        points = " ".join(f"{_n(x)},{_n(y)}" for x, y in [(x2, y2), *wings])
        self.element("polygon", points=points, class_=f"{class_} head")

    # ---- the vocabulary

    def process(self, x: float, y: float, width: float, height: float, card: Card) -> None:
        """A rounded box in its role's hue: its name, then what is known of it; its state's shape and word at the
        top."""
        if card.href:
            self.link(card.href, x, y, width, height)
        self.rect(x, y, width, height, f"process {card.role}", 7)
        slim = width < 130
        left, letter = (x + 8, 6.6) if slim else (x + 12, 7.4)
        room = width - 2 * (left - x)
        if card.word:
            right = x + width - 12
            self.text(right, y + 21, card.word, f"small state-{card.state}", "end")
            self.mark(right - 6.4 * len(card.word) - 10, y + 17, card.state)
            room -= 6.4 * len(card.word) + 22
        name = clip(card.name, max(4, int(room / letter)))
        self.text(left, y + 21, name, f"name {card.role}{' small' if slim else ''}")
        for index, line in enumerate(card.lines):
            self.text(left, y + 39 + 16 * index, clip(line, int((width - 22) / 6.7)), "mono small soft")
        if card.href:
            self.shut("a")

    def object(
        self, x: float, y: float, width: float, height: float, name: str, lines: list[str], class_: str = ""
    ) -> None:
        """A kernel object or a file: a slate box with square corners."""
        self.rect(x, y, width, height, f"object {class_}".strip(), 2)
        if name:
            self.text(x + 10, y + 19, clip(name, int((width - 16) / 6.9)), "small strong")
        for index, line in enumerate(lines):
            self.text(x + 10, y + 36 + 16 * index, clip(line, int((width - 16) / 6.7)), "mono small soft")

    def pair(self, x: float, y: float, queued: int = 0) -> None:
        """A socket pair: two half boxes around the middle, a queue in each direction; dashed pills for what is in
        flight."""
        self.rect(x - 17, y - 9, 16, 18, "object half", 2)
        self.rect(x + 1, y - 9, 16, 18, "object half", 2)
        for index in range(min(queued, 3)):
            self.element("rect", x=_n(x + 4), y=_n(y - 6.5 + 4.5 * index), width=10, height=3, rx=1.5, class_="flying")

    def upright_pair(self, x: float, y: float) -> None:
        """The same, for a pair that stands between an upper and a lower process."""
        self.rect(x - 9, y - 17, 18, 16, "object half", 2)
        self.rect(x - 9, y + 1, 18, 16, "object half", 2)

    def pill(self, x: float, y: float, number: Any, role: str, *, dashed: bool = False, title: str = "") -> float:
        """A descriptor: its number in a pill outlined in its owner's hue, around the given middle. Returns its
        width."""
        text = str(number)
        width = max(24.0, 12 + 7.2 * len(text))
        self.open("g", class_=f"pill {role}{' dashed' if dashed else ''}")
        if title:
            self.element("title", title)
        self.rect(x - width / 2, y - 9, width, 18, "", 9)
        self.text(x, y + 4.2, text, "mono number", "middle")
        self.shut("g")
        return width

    def slot(self, x: float, y: float, label: Any, role: str, *, here: bool = False) -> None:
        """A cell of a process's descriptor table, on its edge."""
        self.rect(x, y, 30, 22, f"slot {role}{' here' if here else ''}", 2)
        self.text(x + 15, y + 15, label, "mono small" + (" strong" if here else " soft"), "middle")

    def mark(self, x: float, y: float, state: str) -> None:
        """A state's shape: disc good, triangle attention, cross failed, ring unknown."""
        if state == "good":
            self.element("circle", cx=_n(x), cy=_n(y), r=4, class_="mark good")
        elif state == "attention":
            self.path(f"M{_n(x)} {_n(y - 5)} l5.2 9 h-10.4 Z", "mark attention")
        elif state == "failed":
            self.path(f"M{_n(x - 4)} {_n(y - 4)} l8 8 m0 -8 l-8 8", "mark failed")
        else:
            self.element("circle", cx=_n(x), cy=_n(y), r=3.5, class_="mark unknown")

    def glyph(self, x: float, y: float, which: int) -> None:
        """A file's mark; in the lab an open file description's."""
        self.element("path", d=GLYPHS[which % len(GLYPHS)], transform=f"translate({_n(x)} {_n(y)})", class_="glyph")

    def svg(self) -> Markup:
        """The finished drawing, with its title and description for those who cannot see it.

        An image hides what is in it from them: a drawing with links in it is a group. WAI-ARIA 1.2, img, *Children
        Presentational*.
        """
        return Markup(
            '<svg class="drawing {layout}" viewBox="0 0 {w} {h}" width="{w}" height="{h}"'
            ' role="{role}" aria-labelledby="{id}-title" aria-describedby="{id}-desc">'
            '<title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>{parts}</svg>'
        ).format(
            layout=self._layout,
            w=_n(self.width),
            h=_n(self.height),
            role="group" if self._links else "img",
            id=f"{self.name}{'-' + self._layout if self._layout else ''}",
            title=self._title,
            desc=self._description,
            parts=Markup("").join(self._parts),
        )


def element(tag: str, content: Any = "", /, **attributes: Any) -> Markup:
    """One SVG element with its attributes and content escaped."""
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), _attributes(attributes), content)  # noqa: S704  # a tag is a literal of our own


def _attributes(attributes: dict[str, Any]) -> Markup:
    return Markup("").join(
        Markup(' {}="{}"').format(Markup(name.rstrip("_").replace("_", "-")), escape(value))  # noqa: S704  # a name is a keyword of our own calls
        for name, value in attributes.items()
        if value is not None
    )


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
