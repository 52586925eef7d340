from argparse import ArgumentParser

from apps.builds.management.tuning import TuningCommands


class Command(TuningCommands):
    help = "See to what makes builds fast."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_tuning(parser.add_subparsers(required=True, metavar="SUBCOMMAND"))
