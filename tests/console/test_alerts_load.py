"""When everything is ill at once, and has been for weeks, neither pages nor the evaluation ask more of the database.
How long they take, a test can't say."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts.domain.evaluation import MOST_SUBJECTS
from apps.alerts.evaluate import evaluate_alerts
from apps.alerts.models import Alert, Rule, Silence
from apps.alerts.queries import for_a_person
from tests.alerts.watching import Watch
from tests.factories import make_agent, make_host, make_rule, now

pytestmark = pytest.mark.django_db

PAGES = (
    "/",
    "/alerts/",
    "/alerts/?state=resolved",
    "/alerts/?state=resolved&page=2",
    "/alerts/rules/",
    "/alerts/silences/",
    "/alerts/1/",
    "/api/v1/alerts?limit=1000",
    "/api/v1/alerts?all=true&limit=1000",
)
RULES = ["silent-agent", "agent-memory"]


def make_many(firing: int, resolved: int) -> None:
    rule, at = make_rule("silent-agent"), now()
    first = Alert.objects.count()
    Alert.objects.bulk_create(
        (
            Alert(
                rule=rule, scope="agent", subject_id=number, subject=f"w1/agent-{number}", severity="warning",
                value=700.0, worst=900.0, threshold=600.0, pending_at=at, fired_at=at, seen_at=at,
                state="firing" if number < first + firing else "resolved",
                resolved_at=None if number < first + firing else at,
            )
            for number in range(first, first + firing + resolved)
        ),
        batch_size=1_000,
    )  # fmt: skip


def queries_of(deed) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        deed()
    return len(queries)


@pytest.mark.slow
def test_pages_ask_no_more_of_many_alerts_than_of_few(operator, redis_server, settings):
    settings.REDIS_URL = redis_server.url

    def asked() -> dict[str, int]:
        found = {}
        for page in PAGES:
            operator.get(page)  # what is remembered between two is remembered
            found[page] = queries_of(lambda page=page: operator.get(page))
        return found

    make_many(firing=5, resolved=60)
    few = asked()
    make_many(firing=2_000, resolved=10_000)
    rule, until = Rule.objects.get(key="silent-agent"), now() + timedelta(hours=1)
    Silence.objects.bulk_create(
        Silence(rule=rule, subject_id=pk, begun_by="otto", begun_at=now(), until=until)
        for pk in range(100, 600)
    )

    assert asked() == few
    assert len(for_a_person(now())) == 2_005 - 500


@pytest.mark.parametrize("agents", [3, MOST_SUBJECTS])
def test_the_evaluation_asks_no_more_of_many_alerts_than_of_few(redis_server, settings, agents):
    watch, host = Watch(), make_host(heartbeat_at=None)
    Rule.objects.exclude(key__in=RULES).update(enabled=False)
    limits = {"scope": "agent", "comparison": "above", "threshold": 1.0, "resolve_threshold": 0.5}
    Rule.objects.filter(key__in=RULES).update(**limits, metric="latency_p95", for_seconds=0)
    ill = [make_agent(f"w1/agent-{number}", host=host) for number in range(agents)]
    watch.figures(agents={agent.pk: {"p95": 5.0, "operations": 100} for agent in ill})
    watch.step(0)
    assert Alert.objects.filter(state="firing").count() == agents * len(RULES)

    watch.now += timedelta(seconds=10)
    watch.figures(agents={agent.pk: {"p95": 7.0, "operations": 100} for agent in ill})
    asked = queries_of(lambda: evaluate_alerts(watch.now))

    assert asked <= 26
    found = Alert.objects.values_list("value", "worst", "seen_at").distinct()
    assert list(found) == [(7.0, 7.0, watch.now)]
