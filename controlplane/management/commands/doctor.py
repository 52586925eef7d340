import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from controlplane.doctor import examine

SIGNS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}


class Command(BaseCommand):
    help = "Look at what can be wrong on this machine, and say what to do. Exit 1 if something must be done."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings]))
        else:
            width = max(len(finding.name) for finding in findings)
            for finding in findings:
                self.stdout.write(f"{SIGNS[finding.level]} {finding.name:{width}}  {finding.text}")
                if finding.hint and finding.level != "ok":
                    self.stdout.write(f"  {'':{width}}  {finding.hint}")
        if any(finding.level == "error" for finding in findings):
            sys.exit(1)
