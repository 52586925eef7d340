"""How figures and states are written for people. Pure: values in, text out. `–` is "no data", never zero."""

from functools import lru_cache

from apps.fleet.domain.health import Health

NONE = "–"
NARROW = "\u202f"
KB = 1024
MB = KB * KB
GB = MB * KB
KILO = 1000
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
ROUNDED_UP = 0.9995  # of a thousand: would be written as 1000 of the unit below


def number(value: float | None, digits: int = 0) -> str:
    return NONE if value is None else f"{value:,.{digits}f}".replace(",", NARROW)


def rate(value: float | None) -> str:
    """Operations per second: one digit below 100."""
    return number(value, 0 if value is not None and value >= 100 else 1)


def milliseconds(value: float | None) -> str:
    return number(value, 1 if value is not None and value < 10 else 0)


def percent(value: float | None) -> str:
    return number(value, 1 if value is not None and 0 < value < 10 else 0)


def size(value: float | None) -> tuple[str, str]:
    """Bytes as number and unit."""
    if value is None:
        return NONE, ""
    if value >= GB:
        return number(value / GB, 1 if value < 100 * GB else 0), "GB"
    return (number(value / MB), "MB") if value >= MB or value == 0 else (number(value / KB), "KB")


def size_text(value: float | None) -> str:
    return f"{NARROW}".join(size(value)).strip()


def money(value: float | None) -> str:
    """US dollars: as in $0.42, with four digits below a cent and none from a thousand on."""
    if value is None:
        return NONE
    return f"${number(value, 4 if 0 < value < 0.01 else 2 if value < 1000 else 0)}"


def tokens(value: float | None) -> str:
    """As in 950, 12 k, 1.2 M."""
    if value is None or value < KILO:
        return number(value)
    scale, unit = next((scale, unit) for scale, unit in SCALES if value >= scale * ROUNDED_UP)
    shown = value / scale
    return f"{number(shown, 1 if shown < 9.95 else 0)}{NARROW}{unit}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.0f} d"


def share(part: float | None, whole: float | None) -> int:
    """Percent for a bar, 0 to 100."""
    if not part or not whole:
        return 0
    return max(1, min(100, round(part / whole * 100)))


def plural(count: int, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


# outcome -> sign, tone (a class of the style sheet). A word stands beside each sign: colour says nothing alone.
STATE_SIGNS = {
    "planned": ("·", "quiet"),
    "preparing": ("◔", "quiet"),
    "ready": ("◑", "quiet"),
    "starting": ("◕", "quiet"),
    "busy": ("●", "good"),
    "idle": ("○", "plain"),
    "waiting": ("◐", "bad"),
    "paused": ("❙❙", "warn"),
    "stopping": ("◍", "warn"),
    "exited": ("✓", "quiet"),
    "stopped": ("■", "quiet"),
    "failed": ("✕", "bad"),
    "lost": ("?", "bad"),
}

WAVE_SIGNS = {
    "running": ("●", "good"),
    "paused": ("❙❙", "warn"),
    "aborting": ("◍", "warn"),
    "aborted": ("■", "quiet"),
    "done": ("✓", "quiet"),
    "failed": ("✕", "bad"),
}

HEALTH_SIGNS = {
    Health.HEALTHY: ("●", "good"),
    Health.DEGRADED: ("◐", "warn"),
    Health.CRITICAL: ("◐", "bad"),
    Health.FAILED: ("✕", "bad"),
    Health.UNKNOWN: ("○", "quiet"),
}


def sparkline(values: list[float], width: int = 56, height: int = 16) -> str:
    """Points of an SVG polyline; empty when there is nothing to draw. Its scale is its own maximum."""
    if len(values) < 2:
        return ""
    top = max(values)
    if top <= 0:
        return ""
    scale, base = (height - 2) / top, height - 0.5  # the half rounds, as int() cuts off
    places = zip(_places(len(values), width), values, strict=True)
    return " ".join([f"{x}{int(base - value * scale)}" for x, value in places])


@lru_cache(maxsize=8)
def _places(count: int, width: int) -> list[str]:
    """Where that many points lie across the line."""
    step = width / (count - 1)
    return [f"{place * step:.0f}," for place in range(count)]
