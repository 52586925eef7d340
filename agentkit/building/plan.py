"""What a tool's shim decides about one command, before anything is started."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Plan:
    __slots__ = ("directory", "environment", "is_build", "leaves_slot", "mode", "notes", "short", "tool")

    def __init__(
        self,
        tool: str,
        environment: dict[str, str],
        *,
        mode: str = "",
        directory: str = "",
        short: bool = False,
        leaves_slot: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.tool = tool
        self.environment = environment  # of the tool
        self.mode = mode  # check, dev, test, release; empty for what builds nothing
        self.directory = directory  # where it builds; empty when that is the tool's own choice
        self.short = short  # goes ahead of long ones that wait for a slot
        self.leaves_slot = leaves_slot  # becomes another program when its build is over, as `cargo run` does
        self.notes = notes  # for the person or agent at the terminal
        self.is_build = bool(mode)
