from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.access.roles import shell_actor
from apps.alerts.actions import operate
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Alert, Rule, Silence
from apps.alerts.queries import last_evaluation, silenced, watch_is_dead
from apps.alerts.serial import alert_data, rule_data, silence_data
from apps.lib.cli import OperatorCommand, table, whole_number


class Command(OperatorCommand):
    help = "See alerts, and act on them."
    refusals = (AlertRefused, NotAllowed)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        listing = self.subcommand(commands, "list", "List alerts that are open.")
        listing.add_argument("--all", action="store_true", help="also those that are over")
        self.subcommand(commands, "rules", "List rules.")
        for name, summary in (
            ("ack", "Acknowledge one: it is yours, and isn't told again."),
            ("silence", "Keep quiet about its rule and subject for a while."),
            ("resolve", "Say that it is over."),
        ):
            one = self.subcommand(commands, name, summary)
            one.add_argument("alert", metavar="ID", type=whole_number)
            if name == "silence":
                one.add_argument("--hours", type=whole_number, default=1, help="how long (%(default)s)")
                one.add_argument("--reason", default="")

    def do_list(self, **options: Any) -> tuple[Any, str]:
        now = timezone.now()
        rows = Alert.objects.all() if options["all"] else Alert.objects.open()
        alerts = list(rows.select_related("rule").order_by("-pk")[:1000])
        quiet = silenced(alerts, Silence.objects.active(now)) if alerts else {}
        data = [alert_data(alert, quiet, now) for alert in alerts]
        if watch_is_dead(now, last_evaluation()):
            self.stderr.write("Nobody evaluates the rules: is `runscheduler` running?")
        if not alerts:
            return [], "No alert is open. `alert list --all` shows those that are over."
        lines = [
            (
                alert.pk,
                alert.severity,
                word_of(alert, quiet),
                alert.rule.title,
                alert.subject,
                f"{alert.value:.4g}",
            )
            for alert in alerts
        ]
        return data, table(("ID", "SEVERITY", "STATE", "ALERT", "SUBJECT", "VALUE"), lines)

    def do_rules(self, **options: Any) -> tuple[Any, str]:
        rules = list(Rule.objects.order_by("pk"))
        lines = [
            (rule.key, rule.severity, "on" if rule.enabled else "off", rule.subjects or "no data", rule.words)
            for rule in rules
        ]
        head = ("RULE", "SEVERITY", "", "WATCHES", "SAYS")
        return [rule_data(rule) for rule in rules], table(head, lines)

    def do_ack(self, **options: Any) -> tuple[Any, str]:
        alert = operate.acknowledge(alert=find(options["alert"]), actor=shell_actor(), now=timezone.now())
        return alert_data(alert, {}, timezone.now()), f"{alert} is acknowledged."

    def do_silence(self, **options: Any) -> tuple[Any, str]:
        alert = find(options["alert"])
        row = operate.silence(
            alert=alert,
            seconds=options["hours"] * 3600,
            reason=options["reason"],
            actor=shell_actor(),
            now=timezone.now(),
        )
        return silence_data(row), f"{alert} is silenced until {row.until:%H:%M} UTC."

    def do_resolve(self, **options: Any) -> tuple[Any, str]:
        alert = operate.resolve(alert=find(options["alert"]), actor=shell_actor(), now=timezone.now())
        return alert_data(alert, {}, timezone.now()), f"{alert} is resolved."


def word_of(alert: Alert, quiet: dict[int, Silence]) -> str:
    return "silenced" if alert.pk in quiet and alert.state == "firing" else alert.state


def find(pk: int) -> Alert:
    alert = Alert.objects.select_related("rule").filter(pk=pk).first()
    if alert is None:
        raise AlertRefused(f"There is no alert {pk}: `alert list --all` shows them.")
    return alert
