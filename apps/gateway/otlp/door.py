"""The doors for OTLP/HTTP: `/v1/metrics` and `/v1/logs` (docs/reference/otlp.md)."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from apps.fleet.tokens import TokenHolder
from apps.gateway.callers import Callers
from apps.gateway.doors import bearer_token
from apps.gateway.http import (
    RETRY_SECONDS,
    Gone,
    Receive,
    Refused,
    Scope,
    Send,
    answer,
    content_type,
    read_body,
)
from apps.gateway.otlp import messages
from apps.gateway.otlp.points import Rejections
from apps.gateway.otlp.reading import read_logs, read_metrics
from apps.gateway.otlp.series import Memory, memory_of
from apps.lib.redis import RedisUnavailable
from apps.telemetry.domain.measures import Measure
from apps.telemetry.ingest_measures import Batch, MeasureAppender

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_INFLATED_BYTES = 4 * 1024 * 1024
TRIES = 5  # while other exports of the same sender are faster

AWAY = "The sample store is away: send this again."
FULL = "The sample store is full, as nothing reads it: send this again."
BUSY = "Other exports of this agent came in between: send this again."


@dataclass(frozen=True, slots=True)
class Export:
    """One request, and who sent it. `sender` tells the starts of an agent apart."""

    holder: TokenHolder
    sender: str
    body: bytes
    request: Any
    rejected: Rejections = field(default_factory=Rejections)


@dataclass(frozen=True, slots=True)
class Signal:
    request: type[Message]
    read: Callable[[Export, Memory, float], list[Measure]]
    answer: Callable[[Rejections], Message]


def _metrics(export: Export, memory: Memory, now: float) -> list[Measure]:
    return read_metrics(export.request, export.holder.name, memory, now, export.rejected)


def _metrics_answer(rejected: Rejections) -> Message:
    if not rejected.count:
        return ExportMetricsServiceResponse()
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected.count, error_message=rejected.text)
    return ExportMetricsServiceResponse(partial_success=partial)


def _logs(export: Export, memory: Memory, now: float) -> list[Measure]:
    return read_logs(export.request, export.holder.name, memory, export.body, export.rejected)


def _logs_answer(rejected: Rejections) -> Message:
    if not rejected.count:
        return ExportLogsServiceResponse()
    partial = ExportLogsPartialSuccess(rejected_log_records=rejected.count, error_message=rejected.text)
    return ExportLogsServiceResponse(partial_success=partial)


METRICS = Signal(ExportMetricsServiceRequest, _metrics, _metrics_answer)
LOGS = Signal(ExportLogsServiceRequest, _logs, _logs_answer)


class ExportDoor:
    """The ASGI application of a path. Answers 200 only once what is new is durable."""

    def __init__(self, signal: Signal, callers: Callers, appender: MeasureAppender) -> None:
        self.signal = signal
        self.callers = callers
        self.appender = appender
        self.turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = content_type(scope)
        reply = encoding if encoding in messages.ENCODINGS else messages.JSON
        status, headers = 200, {}
        try:
            message = await self._take(scope, receive, encoding)
        except Refused as error:
            status, headers = error.status, error.headers
            message = messages.status(status, error.text)
        except Gone:
            return
        await answer(send, status, messages.encode(message, reply), reply, headers)

    async def _take(self, scope: Scope, receive: Receive, encoding: str) -> Message:
        holder = await self.callers.admit(scope)
        if encoding not in messages.ENCODINGS:
            raise Refused(415, f"Say what the body is: Content-Type {' or '.join(messages.ENCODINGS)}.")
        sender = hashlib.sha256(bearer_token(scope["headers"]).encode()).hexdigest()[:16]
        with self.callers.at_work(holder):
            body = await read_body(scope, receive, most=MAX_INFLATED_BYTES)
            request = await self._in_turn(self._decoded, body, encoding)
            try:
                return await self._store(holder, sender, body, request)
            except RedisUnavailable as error:
                log.debug("an export of %s isn't stored, and is refused: %s", holder.name, error)
                raise Refused(503, AWAY, retry_after=RETRY_SECONDS) from error

    async def _store(self, holder: TokenHolder, sender: str, body: bytes, request: Message) -> Message:
        for _ in range(TRIES):
            export = Export(holder, sender, body, request)
            before = await self.appender.remembered(holder.pk, sender)
            batch = await self._in_turn(self._batch, export, before)
            outcome = await self.appender.append(batch)
            if outcome == "added":
                return self.signal.answer(export.rejected)
            if outcome == "full":
                raise Refused(503, FULL, retry_after=RETRY_SECONDS)
        raise Refused(503, BUSY, retry_after=1)

    async def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        """Reading an export takes up to a second of CPU: in a thread, so that websockets go on, and one at a time."""
        async with self.turn:
            return await asyncio.to_thread(work, *arguments)

    def _decoded(self, body: bytes, encoding: str) -> Message:
        request = self.signal.request()
        try:
            messages.decode(body, encoding, request)
        except messages.Undecodable as error:
            raise Refused(400, str(error)) from error
        return request

    def _batch(self, export: Export, before: bytes) -> Batch:
        memory = memory_of(before)
        measures = self.signal.read(export, memory, time.time())
        holder = export.holder
        return Batch(holder.pk, holder.group, holder.role, measures, export.sender, before, memory.encoded())
