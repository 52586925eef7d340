"""What agents report (samples) and what hosts read off them (readings), as they lie in the stream."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apps.telemetry.domain.subjects import Labels

MAX_MS = 1e11  # three years; the sketch takes 1e12
MAX_BYTES = 2**62

# The characters that a name may have are checked by the gateway: a pattern here would cost three times the rest of
# decoding, and again each time that a sample is read.
Kind = Annotated[str, Meta(min_length=1, max_length=64)]
WaitKind = Annotated[str, Meta(max_length=64)]
Text200 = Annotated[str, Meta(max_length=200)]
# Both bounds, as they refuse NaN and infinity as well.
UnixSeconds = Annotated[float, Meta(ge=0, le=1e11)]
Cores = Annotated[float, Meta(ge=0, le=1e6)]
Milliseconds = Annotated[float, Meta(ge=0, le=MAX_MS)]
ByteCount = Annotated[int, Meta(ge=0, le=MAX_BYTES)]
Outcome = Literal["ok", "error", "induced"]


class Sample(msgspec.Struct, array_like=True, gc=False):
    """One operation of an agent. "induced" failed on purpose, as a drill does. `ms` includes `wait_ms`."""

    kind: Kind
    end: UnixSeconds
    ms: Milliseconds
    wait_ms: Milliseconds
    outcome: Outcome
    wait_kind: WaitKind = ""
    memory: ByteCount = 0
    task: Text200 = ""
    note: Text200 = ""


class Reading(msgspec.Struct, array_like=True, gc=False):
    """An agent's process tree as its host saw it: bytes resident, cores busy, bytes moved so far. Those that an older
    runhost sent end before the host's name."""

    agent: int
    group: str
    role: str
    at: UnixSeconds
    memory: ByteCount
    cpu_cores: Cores
    read_bytes: ByteCount = 0
    write_bytes: ByteCount = 0
    host: str = ""

    @property
    def labels(self) -> Labels:
        return Labels(self.group, self.role, self.host)
