"""Once a second: what the agents of a host use and print, and what follows from that for their rows."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings

from apps.fleet import reaper
from apps.fleet.actions import observe
from apps.fleet.actions.observe import Sighting
from apps.fleet.equipment import EquipmentWatch
from apps.fleet.launcher import MarkerIndex
from apps.fleet.look import Look
from apps.fleet.models import Agent, Desired, Host, State
from apps.fleet.reaper import Survey
from apps.fleet.surroundings import host_reading, is_of_this_run, send, words_of
from apps.fleet.trouble import NOT_WRITABLE, Trouble
from apps.fleet.watch import age
from apps.telemetry.ingest import AgentNow


class Measuring:
    def __init__(self, host: Host, index: MarkerIndex, trouble: Trouble) -> None:
        self.host = host
        self.index = index
        self.trouble = trouble
        self.measured_at: datetime | None = None
        self.equipment = EquipmentWatch()

    def measure_if_due(self, looks: Sequence[Look], survey: Survey, now: datetime) -> None:
        if self.measured_at is None or (age(self.measured_at, now) or 0.0) >= settings.HOST_TICK_SECONDS:
            self.measured_at = now
            self.measure(looks, survey, now)

    def measure(self, looks: Sequence[Look], survey: Survey, now: datetime) -> None:
        alive = [look for look in looks if look.seen.alive]
        words = words_of(look.agent for look in alive)
        sightings, readings = [], []
        for look in alive:
            try:
                fields = self.measured(look, survey, words.get(look.agent.pk), now)
                readings.append(look.watch.reading(look.agent, now))
            except Exception as error:
                self.trouble.tell(look.agent, "measured", error)
                continue
            if fields:
                sightings.append((look.agent, Sighting(look.agent.pk, look.agent.epoch, fields)))
        seen = [look.agent.pk for look in alive]
        self.record(sightings, seen, now)
        observe.record_reading(host=self.host, reading=host_reading(), now=now)
        self.report_equipment(now)
        send(readings)

    def report_equipment(self, now: datetime) -> None:
        if news := self.equipment.news(now):
            observe.record_equipment(host=self.host, equipment=news)
            self.equipment.reported = news

    def measured(self, look: Look, survey: Survey, word: AgentNow | None, now: datetime) -> dict[str, object]:
        """What changed of one agent since it was last written down."""
        self.read_output(look, now)
        look.watch.measure(survey.processes, now)
        if word and is_of_this_run(word, look.agent):
            look.watch.note_word(word.state, word.now, datetime.fromtimestamp(word.at, tz=UTC))
        self.end_after_result(look, now)
        return look.watch.changed(look.watch.fields() | self.state_fields(look, now))

    def record(self, sightings: list[tuple[Agent, Sighting]], seen: list[int], now: datetime) -> None:
        """In one transaction; one by one when a row doesn't take what was seen."""
        try:
            observe.record_sightings(sightings=[sighting for _, sighting in sightings], seen=seen, now=now)
            return
        except NOT_WRITABLE:
            observe.record_sightings(sightings=[], seen=seen, now=now)
        for agent, sighting in sightings:
            try:
                observe.record_sightings(sightings=[sighting], seen=[], now=now)
            except Exception as error:
                self.trouble.tell(agent, "written down", error)

    def read_output(self, look: Look, now: datetime, *, to_end: bool = False) -> None:
        try:
            if to_end:
                look.watch.read_to_end(look.agent, now)
            else:
                look.watch.read_output(look.agent, now)
        except Exception as error:
            self.trouble.tell(look.agent, "read", error)  # its end is written all the same

    def state_fields(self, look: Look, now: datetime) -> dict[str, object]:
        """Busy, idle or waiting, where it is one of these; the other states are only left by a step."""
        if look.agent.state not in (State.BUSY, State.IDLE, State.WAITING):
            return {}
        if look.agent.desired != Desired.RUNNING:
            return {}
        return {"state": look.watch.status(look.agent, now)}

    def end_after_result(self, look: Look, now: datetime) -> None:
        """Some tools linger after their final result; that is the end of their work, so they are asked to go."""
        if look.watch.result is None or not look.watch.parser_ends_on_result:
            return
        if look.watch.asked_to_end_at is None:
            look.watch.asked_to_end_at = now
            return
        waited = age(look.watch.asked_to_end_at, now) or 0.0
        if waited >= settings.STOP_GRACE_SECONDS:
            reaper.reap_step([look.watch.tree], self.index)
        elif waited >= settings.HOST_TICK_SECONDS:
            reaper.ask_to_stop(look.watch.tree)
