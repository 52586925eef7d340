"""Which unit waited for which, as a picture: columns by how many waits came before, the critical path on top."""

from dataclasses import dataclass

from apps.builds.domain.analysis import Analysis
from apps.builds.domain.graph import Graph, Node, picture
from apps.builds.domain.units import Recording, Unit
from apps.console.builds.rows import took_text

MOST_BOXES = 200
COLUMN, ROW = 212, 27  # pixels from one box to the next
WIDTH, HEIGHT = 172, 20  # of a box
EDGE = 6
LETTERS, BEGIN = 20, 7  # of a word, and of it before a cut


@dataclass(frozen=True, slots=True)
class Box:
    """`share`: width of the bar that tells its part of the longest unit's time."""

    x: int
    y: int
    share: int
    word: str
    took: str
    whole: str
    tone: str


@dataclass(frozen=True, slots=True)
class Line:
    way: str  # as SVG has it
    tone: str


@dataclass(frozen=True, slots=True)
class Drawing:
    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int
    units: int
    box_width: int = WIDTH
    box_height: int = HEIGHT


def drawing_of(recording: Recording, found: Analysis) -> Drawing | None:
    """None where nothing is known to have waited for anything."""
    graph = Graph(recording.units if recording.has_graph else ())
    if not graph.waits:
        return None
    nodes = picture(graph, {step.unit.key for step in found.critical_path}, MOST_BOXES)
    longest = max(node.unit.duration for node in nodes) or 1.0
    return Drawing(
        boxes=[box_of(node, longest) for node in nodes],
        lines=[line_to(node, nodes[node.after]) for node in nodes if node.after is not None],
        width=max(node.column for node in nodes) * COLUMN + WIDTH + 2 * EDGE,
        height=max(node.row for node in nodes) * ROW + HEIGHT + 2 * EDGE,
        units=len(graph.units),
    )


def box_of(node: Node, longest: float) -> Box:
    return Box(
        x=EDGE + node.column * COLUMN,
        y=EDGE + node.row * ROW,
        share=round(WIDTH * node.unit.duration / longest),
        word=short_word(node.unit),
        took=took_text(node.unit.duration),
        whole=f"{node.unit.label}: {took_text(node.unit.duration)}, from {took_text(node.unit.start)} on",
        tone="path" if node.on_path else "",
    )


def short_word(unit: Unit) -> str:
    """Without its version, and without its name where its target repeats that. Of a long one the middle goes: crates of
    a workspace mostly begin alike."""
    word = f"{unit.name} {unit.target}".strip().replace(f"{unit.name} {unit.name} ", f"{unit.name} ")
    return word if len(word) <= LETTERS else f"{word[:BEGIN]}…{word[BEGIN + 1 - LETTERS :]}"


def line_to(node: Node, before: Node) -> Line:
    x, y = EDGE + before.column * COLUMN + WIDTH, EDGE + before.row * ROW + HEIGHT // 2
    to_x, to_y = EDGE + node.column * COLUMN, EDGE + node.row * ROW + HEIGHT // 2
    middle = (x + to_x) // 2
    on_path = node.on_path and before.on_path and node.is_direct
    tone = "path" if on_path else "" if node.is_direct else "far"
    return Line(f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}", tone)
