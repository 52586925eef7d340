"""A table of agents: its rows are the parts that are pushed one by one."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.console.agents.rows import row_html, row_id, row_of
from apps.console.moment import Moment
from apps.console.regions import View
from apps.fleet.models import Agent
from apps.fleet.spending import Ledger


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` by their element's id, in the order of the page."""

    rows: dict[str, SafeString]
    acts: bool

    @property
    def shape(self) -> tuple[str, ...]:
        return tuple(self.rows)

    @property
    def html(self) -> SafeString:
        rows = mark_safe("".join(self.rows.values()))  # noqa: S308 - each was rendered by its template
        return render_to_string("console/agents/table.html", {"rows": rows, "acts": self.acts})


def table_of(
    agents: Iterable[Agent], view: View, moment: Moment, ledger: Ledger, *, short: bool = False
) -> Table:
    """`short`: the agents' names without their wave, for a table that stands in that wave's card."""
    snapshot = moment.snapshot(view.window)
    figures = snapshot.agents if snapshot else {}
    rows = {}
    for agent in agents:
        label = agent.short_name if short else agent.name
        row = row_of(agent, figures.get(agent.pk), label, moment.p95_target, ledger.of(agent.pk))
        rows[row_id(agent.pk)] = row_html(row, view.acts)
    return Table(rows, view.acts)
