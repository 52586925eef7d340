"""Any program: its last line with something on it is what it does now."""

from apps.fleet.domain.output.observation import Observation
from apps.fleet.domain.output.parser import LineParser


class PlainParser(LineParser):
    def read_line(self, line: bytes) -> list[Observation] | None:
        return None
