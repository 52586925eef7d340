from collections.abc import Awaitable, Callable

from apps.gateway.callers import Callers
from apps.gateway.consumer import AgentDoor
from apps.gateway.http import Receive, Scope, Send
from apps.gateway.otlp.door import LOGS, METRICS, ExportDoor
from apps.gateway.samples import SamplesDoor
from apps.gateway.writer import FrameWriter
from apps.telemetry.ingest_measures import MeasureAppender

Door = Callable[[Scope, Receive, Send], Awaitable[None]]

writer = FrameWriter()
callers = Callers()
appender = MeasureAppender()

# ASGI applications by path. A new version of the wire format gets a path of its own.
SOCKETS: dict[str, Door] = {"/ws/v1/agents/": AgentDoor(writer)}
DOORS: dict[str, Door] = {
    "/api/v1/samples": SamplesDoor(writer, callers),
    "/v1/metrics": ExportDoor(METRICS, callers, appender),
    "/v1/logs": ExportDoor(LOGS, callers, appender),
}
