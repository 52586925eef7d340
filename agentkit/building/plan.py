"""What a tool's shim decides about one command, before anything is started."""

from __future__ import annotations


class Plan:
    __slots__ = (
        "directory",
        "environment",
        "jobserver",
        "leaves_slot",
        "mode",
        "notes",
        "parts",
        "patient",
        "short",
        "tool",
    )

    def __init__(self, tool: str, environment: dict[str, str], *, mode: str = "") -> None:
        self.tool = tool
        self.environment = environment  # of the tool
        self.mode = mode  # check, dev, test, release; empty for what builds nothing
        self.directory = ""  # where it builds; empty when only the tool knows
        self.parts: dict[str, str] = {}  # what the directory is for; empty where the user chose it
        self.jobserver = ""  # the directory of the one that it shares
        self.short = False  # goes ahead of long ones that wait for a slot
        self.patient = False  # lets others go ahead that come after it
        self.leaves_slot = False  # becomes another program when its build is over, as `cargo run` does
        self.notes: list[str] = []  # for the person or agent at the terminal

    @property
    def is_build(self) -> bool:
        return bool(self.mode)

    def note(self, line: str) -> None:
        if self.is_build:
            self.notes.append(line)
