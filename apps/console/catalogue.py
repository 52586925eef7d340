"""All live regions, by name."""

from apps.console import menu
from apps.console.regions import Region
from apps.console.yard import fragments as yard

REGIONS: dict[str, Region] = {region.name: region for module in (menu, yard) for region in module.REGIONS}
