"""Which builds a list shows: the filter in the address."""

from apps.builds.queries import STATES, BuildFilter
from apps.console.regions import View

WORDS = {
    "all": "all",
    "open": "open",
    "waiting": "waiting",
    "running": "under way",
    "passed": "passed",
    "failed": "failed",
    "ended": "killed or lost",
}
MODES = ("check", "dev", "test", "release")
FILTER = ("agent", "wave", "mode", "repository", "host")


def chosen_by(view: View, *, with_state: bool = True) -> BuildFilter:
    return BuildFilter(
        who=int(view.get("agent")) if view.get("agent") else None,
        wave=view.get("wave"),
        mode=view.get("mode"),
        state=view.get("state") if with_state and view.get("state") in STATES else "",
        repository=view.get("repository"),
        host=view.get("host"),
    )


def chips(view: View) -> list[tuple[str, str, bool]]:
    current = view.get("state") if view.get("state") in STATES else "all"
    return [(key, word, key == current) for key, word in WORDS.items()]
