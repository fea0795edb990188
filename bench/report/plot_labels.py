"""Where names go beside their points, so that none covers another: pure geometry, in points of the page.

Greedy: names are placed one after the other, each at the nearest place that is free. The trade-off: the order decides
in a crowd, and where nothing is free the place with the least overlap is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin

DISTANCES = (9.0, 15.0, 24.0, 36.0, 52.0, 72.0, 100.0, 140.0)
DIRECTIONS = tuple(pi * step / 6 for step in (0, 6, 1, 11, 5, 7, 3, 9, 2, 10, 4, 8))
"""To the right first, then left, then slanting, then above and below."""


@dataclass(frozen=True)
class Box:
    """A rectangle: its left lower corner, width and height."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """Area shared with another."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.bottom + self.height, other.bottom + other.height) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    def outside(self, frame: "Box") -> float:
        """Area that lies outside of `frame`."""
        return self.width * self.height - self.overlap(frame)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to (x, y)."""
        return (min(max(x, self.left), self.left + self.width), min(max(y, self.bottom), self.bottom + self.height))


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], frame: Box, taken: Sequence[Box]
) -> list[Box]:
    """A box of each size beside each point, inside `frame`, off the boxes `taken` and off one another."""
    placed: list[Box] = []
    for point, size in zip(points, sizes, strict=True):
        placed.append(_best(point, size, frame, [*taken, *placed]))
    return placed


def _best(point: tuple[float, float], size: tuple[float, float], frame: Box, taken: Sequence[Box]) -> Box:
    best, least = None, float("inf")
    for box in _places(point, size):
        cost = 4 * box.outside(frame) + sum(box.overlap(other) for other in taken)
        if cost < least - 1e-9:
            best, least = box, cost
        if least == 0:
            break
    assert best is not None
    return best


def _places(point: tuple[float, float], size: tuple[float, float]) -> Iterator[Box]:
    """Boxes around a point, near ones first; the distance is from the point to the nearest edge or corner."""
    (x, y), (width, height) = point, size
    for distance in DISTANCES:
        for direction in DIRECTIONS:
            dx, dy = cos(direction), sin(direction)
            left = x + distance * dx - width * (1 - _side(dx)) / 2
            bottom = y + distance * dy - height * (1 - _side(dy)) / 2
            yield Box(left, bottom, width, height)


def _side(component: float) -> float:
    """-1, 0 or 1: on which side of the point a box lies whose direction has this component."""
    return 0.0 if abs(component) < 1e-6 else component / abs(component)


def distance(box: Box, point: tuple[float, float]) -> float:
    """From a box to a point outside it."""
    x, y = box.nearest(*point)
    return hypot(x - point[0], y - point[1])
