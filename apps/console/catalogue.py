"""All live regions, by name."""

from apps.console import menu
from apps.console.agents import fragments as agents
from apps.console.alerts import fragments as alerts
from apps.console.builds import fragments as builds
from apps.console.compare import fragments as compare
from apps.console.events import fragments as events
from apps.console.hosts import fragments as hosts
from apps.console.regions import Region
from apps.console.repositories import fragments as repositories
from apps.console.service_levels import fragments as service_levels
from apps.console.spending import fragments as spending
from apps.console.waves import fragments as waves
from apps.console.yard import fragments as yard

AREAS = (
    menu,
    yard,
    alerts,
    waves,
    agents,
    builds,
    repositories,
    hosts,
    compare,
    service_levels,
    spending,
    events,
)
REGIONS: dict[str, Region] = {region.name: region for area in AREAS for region in area.REGIONS}
