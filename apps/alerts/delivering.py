"""One attempt of a delivery: claim it, put it into words, send it outside of any transaction, write how it went."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from rq.timeouts import JobTimeoutException

from apps.alerts.actions import deliver as actions
from apps.alerts.domain.addresses import BadAddress, networks
from apps.alerts.domain.evaluation import State
from apps.alerts.domain.messages import Line, body_of, title_of
from apps.alerts.domain.rules import Severity
from apps.alerts.guard import PrivateAddress
from apps.alerts.models import Alert, Delivery
from apps.alerts.sender import send_apart
from apps.alerts.sending import NotSent

log = logging.getLogger(__name__)

TEST = ("[test] Swarmyard", "This is a test message: alerts of the yard will look like this one.")


def deliver(pk: int, clock: Callable[[], datetime]) -> None:
    """Nothing where another worker has it, or had. Whatever goes wrong with sending is written, not raised."""
    delivery = actions.claim(pk, clock())
    if delivery is None:
        return
    title, body, severity = message_of(delivery, clock())
    try:
        allowed = networks(settings.ALERT_NETWORKS)
        send_apart(delivery.destination.url, title=title, body=body, severity=severity, allowed=allowed)
    except (BadAddress, PrivateAddress) as error:
        actions.fail(delivery, str(error), clock(), for_good=True)
    except (NotSent, JobTimeoutException) as error:
        actions.fail(delivery, str(error), clock())
    except Exception as error:
        log.exception("%s can't be sent", delivery)
        actions.fail(delivery, f"{type(error).__name__}; the log of the worker says more", clock())
    else:
        actions.succeed(delivery, clock())


def message_of(delivery: Delivery, now: datetime) -> tuple[str, str, str]:
    """Title, body and severity. What was to be told first may be over meanwhile: then that is told."""
    alerts = list(delivery.alerts.select_related("rule"))
    lines = [line_of(alert, now) for alert in alerts]
    if not lines:
        return (*TEST, "info")
    open_ones = [Severity(line.severity) for line in lines if not line.lasted]
    return title_of(lines), body_of(lines), max(open_ones, key=lambda one: one.rank, default=Severity.INFO)


def line_of(alert: Alert, now: datetime) -> Line:
    over = f"{alert.lasted(now):.0f} s" if alert.state == State.RESOLVED else ""
    unit = f" {alert.rule.unit}" if alert.rule.unit else ""
    value = f"{alert.value:.4g}{unit} where {alert.threshold:g}{unit} is the limit"
    return Line(alert.severity, alert.rule.title, alert.subject, value, over)
