from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.access.roles import shell_actor
from apps.builds import by_hand
from apps.builds.base_actions import ask_for_build
from apps.builds.cache_actions import clear_cache
from apps.builds.cache_serial import cache_data
from apps.builds.exceptions import BaseRefused, OptionRefused
from apps.builds.measuring import Arm, BuildFailed
from apps.builds.models import Base, BuildOptions, CompilerCache
from apps.builds.option_actions import set_options, words_of
from apps.builds.sccache import CacheBusy, CacheRefused
from apps.builds.serial import base_data
from apps.builds.suggesting import AS_IT_IS, Suggestion, SuggestRefused, arm_named, part, suggest
from apps.builds.toolchains import NoToolchain
from apps.fleet.models import Host
from apps.lib.cli import OperatorCommand, table, whole_number
from apps.lib.questions import NoAnswer
from apps.workspaces.exceptions import GitFailed, RepositoryRefused
from apps.workspaces.models import Repository
from apps.workspaces.queries import find_repository

MB = 1024 * 1024
SUGGESTING = (SuggestRefused, RepositoryRefused, NoToolchain, BuildFailed, GitFailed)


class CleanRefused(Exception):
    """For people."""


class TuningCommands(OperatorCommand):
    """Of `builds`: what makes them fast, and how that is switched."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (
        BaseRefused,
        CacheRefused,
        CacheBusy,
        CleanRefused,
        NotAllowed,
        NoAnswer,
        OptionRefused,
        *SUGGESTING,
    )

    def add_tuning(self, commands: Any) -> None:
        """`commands`: the subparsers of `builds`."""
        cache = commands.add_parser(
            "cache", help="Compiler caches of hosts.", description="Compiler caches of hosts."
        )
        about = cache.add_subparsers(required=True, metavar="SUBCOMMAND")
        self.subcommand(about, "stats", "How often they are hit, and how large they are.")
        clear = self.subcommand(about, "clear", "Remove what a host keeps.")
        clear.add_argument("--host", default=settings.HOST_NAME, help="its name (%(default)s)")
        cleaning = self.subcommand(commands, "clean", "Remove build directories that nobody uses any more.")
        cleaning.add_argument(
            "--by-hand", action="store_true", required=True, help="of `AGENT_ID=… yard cargo` on this machine"
        )
        cleaning.add_argument(
            "--days", type=whole_number, default=by_hand.DAYS, help="unused for as long (%(default)s)"
        )
        cleaning.add_argument("--dry-run", action="store_true", help="only say what would be removed")
        bases = self.subcommand(commands, "bases", "What new agents start from, and how its last build went.")
        bases.add_argument("--build", metavar="REPOSITORY", help="build those of this one now")
        switches = self.subcommand(commands, "options", "See or set what is done for a repository's builds.")
        switches.add_argument("repository", metavar="REPOSITORY", help="name or path")
        switches.add_argument(
            "words", nargs="*", metavar="NAME=on|off", help="for workspaces made from now on"
        )
        suggestion = self.subcommand(
            commands, "suggest", "Offer a patch that makes a repository build faster."
        )
        suggestion.add_argument("repository", metavar="REPOSITORY", help="name or path")
        suggestion.add_argument(
            "--measure", action="store_true", help="build it with and without; takes a while"
        )
        suggestion.add_argument(
            "--release", action="store_true", help="measure and offer settings of release builds as well"
        )
        suggestion.add_argument(
            "--rounds", type=whole_number, default=3, help="builds of each kind (%(default)s)"
        )
        suggestion.add_argument(
            "--cranelift", action="store_true", help="dev builds by Cranelift, on nightly"
        )

    def do_stats(self, **options: Any) -> tuple[Any, str]:
        rows = list(CompilerCache.objects.select_related("host").order_by("host__name"))
        if not rows:
            return [], "No host has told of a compiler cache yet: `runhost` does."
        lines = [
            (
                row.host.name,
                row.problem or f"sccache {row.version}",
                "" if row.hit_ratio is None else f"{row.hit_ratio:.0%}",
                row.hits,
                row.misses,
                row.errors,
                "" if row.size_bytes is None else f"{row.size_bytes // MB} MB",
            )
            for row in rows
        ]
        head = ("HOST", "CACHE", "HIT", "HITS", "MISSES", "ERRORS", "SIZE")
        return [cache_data(row) for row in rows], table(head, lines)

    def do_clear(self, **options: Any) -> tuple[Any, str]:
        name = options["host"]
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise CacheRefused(f"There is no host “{name}”.")
        clear_cache(host=host, actor=shell_actor(), here=name == settings.HOST_NAME)
        return {"host": name}, f"The compiler cache of {name} is cleared."

    def do_clean(self, **options: Any) -> tuple[Any, str]:
        host = Host.objects.filter(name=settings.HOST_NAME).first()
        if host is None:
            raise CleanRefused(
                f"There is no host “{settings.HOST_NAME}” yet: `runhost` makes this machine known."
            )
        days, only_look, now = max(1, options["days"]), options["dry_run"], timezone.now()
        found = by_hand.clean(host=host, days=days, actor=shell_actor(), now=now, only_look=only_look)
        return [by_hand_data(each) for each in found], cleaned_text(found, days=days, only_look=only_look)

    def do_bases(self, **options: Any) -> tuple[Any, str]:
        rows = Base.objects.select_related("repository", "host").order_by("repository__name", "host__name")
        if options["build"]:
            rows = rows.filter(repository=find(options["build"]))
            for base in rows:
                ask_for_build(base=base, actor=shell_actor(), now=timezone.now())
        bases = list(rows.all())
        if not bases:
            return [], "There is no base yet: the first agents that build ask for one."
        lines = [
            (
                base.repository.name,
                base.host.name,
                base.state,
                base.commit[:12],
                "" if base.seconds is None else f"{base.seconds:.0f} s",
                base.problem,
            )
            for base in bases
        ]
        head = ("REPOSITORY", "HOST", "STATE", "COMMIT", "TOOK", "")
        return [base_data(base) for base in bases], table(head, lines)

    def do_options(self, **options: Any) -> tuple[Any, str]:
        repository = find(options["repository"])
        words = dict(word.partition("=")[::2] for word in options["words"])
        if words:
            row = set_options(repository=repository, words=words, actor=shell_actor())
        else:
            row = BuildOptions.objects.filter(repository=repository).first() or BuildOptions()
        return words_of(row), table(("OPTION", ""), [*words_of(row).items()])

    def do_suggest(self, **options: Any) -> tuple[Any, str]:
        repository = find(options["repository"])
        found = suggest(
            repository,
            measure=options["measure"],
            cranelift=options["cranelift"],
            release=options["release"],
            rounds=max(1, options["rounds"]),
        )
        return asdict(found), text_of(found)


def find(name_or_path: str) -> Repository:
    repository = find_repository(name_or_path)
    if repository is None:
        raise RepositoryRefused(f"There is no repository “{name_or_path}”: `repository list` shows them.")
    return repository


def text_of(found: Suggestion) -> str:
    """The patch last, as it is what one may pass on to `git apply`; lines before it begin with #."""
    lines = [*found.notes]
    lines += arm_lines("CLEAN DEV BUILD", found.arms) + arm_lines("CLEAN RELEASE BUILD", found.release_arms)
    if found.links:
        links = [(name, f"{seconds * 1000:.0f} ms") for name, seconds in found.links.seconds.items()]
        lines += ["", *table((f"LINKING {found.links.program}", "TIME"), links).splitlines()]
    text = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return text + (found.patch or "# Nothing to change.\n")


def arm_lines(head: str, arms: Sequence[Arm]) -> list[str]:
    """What each took and left, and its part of what the build does as it is."""
    if not arms:
        return []
    before = arm_named(AS_IT_IS, arms)
    rows = [
        (
            arm.name,
            f"{arm.seconds:.2f} s",
            part(arm.seconds, before.seconds),
            f"{arm.disk_bytes // MB} MB",
            part(arm.disk_bytes, before.disk_bytes),
            f"{arm.program_bytes / MB:.1f} MB",
            part(arm.program_bytes, before.program_bytes),
        )
        for arm in arms
    ]
    return ["", *table((head, "TIME", "", "DISK", "", "PROGRAMS", ""), rows).splitlines()]


def by_hand_data(found: by_hand.ByHand) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "used_at": found.used_at.isoformat(),
        "frees_bytes": found.frees,
        "removed": found.removed,
    }


def cleaned_text(found: list[by_hand.ByHand], *, days: int, only_look: bool) -> str:
    if not found:
        return f"Nobody's build directory was unused for {days} days."
    kept = "would be removed" if only_look else "kept: somebody builds in it"
    lines = [
        (
            each.who,
            each.checkout,
            f"{each.used_at:%Y-%m-%d}",
            "?" if each.frees is None else f"{each.frees // MB} MB",
            "removed" if each.removed else kept,
        )
        for each in found
    ]
    chosen = [each for each in found if each.removed or only_look]
    freed = sum(each.frees or 0 for each in chosen) // MB
    total = f"{len(chosen)} {'to remove, which frees' if only_look else 'removed, which freed'} {freed} MB."
    return table(("WHO", "CHECKOUT", "LAST USED", "FREES", ""), lines) + f"\n{total}"
