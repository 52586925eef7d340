"""Addresses that regions point to. Written out, as each tick makes hundreds of them; a test follows every link."""

from urllib.parse import urlencode


def agent(pk: int) -> str:
    return f"/agents/{pk}/"


def log_of(agent_pk: int) -> str:
    return f"{agent(agent_pk)}#log"


def alert(pk: int) -> str:
    return f"/alerts/{pk}/"


def build(pk: int) -> str:
    return f"/builds/{pk}/"


def builds_of_agent(pk: int) -> str:
    return f"{BUILDS}?agent={pk}"


def builds_on(host: str) -> str:
    return f"{BUILDS}?{urlencode({'host': host})}"


def builds_of_repository(name: str) -> str:
    return f"{BUILDS}?{urlencode({'repository': name})}"


def directories_of_repository(name: str) -> str:
    return f"{BUILD_DIRECTORIES}?{urlencode({'repository': name})}"


def repository(pk: int) -> str:
    return f"/repositories/{pk}/"


def wave(label: str) -> str:
    return f"/waves/{label}/"


def agents_of(label: str, state: str) -> str:
    return f"{AGENTS}?wave={label}&state={state}"


def agents_by(sort: str) -> str:
    return f"{AGENTS}?sort={sort}"


def history_of(subject: str) -> str:
    return f"/history/?{urlencode({'of': subject})}"


YARD = "/"
ALERTS = "/alerts/"
WAVES = "/waves/"
AGENTS = "/agents/"
BUILDS = "/builds/"
BUILD_WAITS = "/builds/waits/"
BUILD_DIRECTORIES = "/builds/directories/"
BASES = "/builds/bases/"
CACHES = "/builds/caches/"
REPOSITORIES = "/repositories/"
HOSTS = "/hosts/"
COMPARE = "/compare/"
SPENDING = "/spending/"
SERVICE_LEVELS = "/service-levels/"
EVENTS = "/events/"
ADMIN = "/admin/"
