"""Any program: its last line with something on it is what it does now."""

from apps.fleet.domain.output.observation import Observation
from apps.fleet.domain.output.parser import LineParser, activity


class PlainParser(LineParser):
    def feed(self, data: bytes) -> list[Observation]:
        # A program may print 100 MB/s: only the last line of each piece is looked at.
        for line in reversed(self._buffer.feed(data)):
            if said := self.read_line(line):
                return self._news(said)
        return []

    def read_line(self, line: bytes) -> list[Observation]:
        return activity(line.decode("utf-8", "replace"))
