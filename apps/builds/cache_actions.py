"""The only place that writes what is known of compiler caches."""

from datetime import datetime

from apps.access.roles import require
from apps.builds import rustc_wrapper, sccache
from apps.builds.models import CompilerCache
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.events.hints import publish_on_commit
from apps.fleet.models import Host
from apps.lib import questions
from apps.lib.text import plain_text

CLEAR_SECONDS = 120.0
REFUSALS = (sccache.CacheRefused, sccache.CacheBusy)


def record_cache(
    *,
    host: Host,
    problem: str,
    program: sccache.Program | None,
    figures: sccache.Figures | None,
    now: datetime,
) -> CompilerCache:
    """What was found. Without figures those that are known stay."""
    fields: dict[str, object] = {"problem": plain_text(problem, 500), "looked_at": now}
    if program is not None:
        fields["version"] = plain_text(program.version, 40)
    if figures is not None:
        fields |= {
            "location": plain_text(figures.location, 500),
            "hits": figures.hits,
            "misses": figures.misses,
            "errors": figures.errors,
            "reasons": dict(figures.reasons),
            "size_bytes": figures.size_bytes,
            "most_bytes": figures.most_bytes,
        }
    row, _ = CompilerCache.objects.update_or_create(host=host, defaults=fields)
    publish_on_commit("host", host.pk)
    return row


def clear_cache(*, host: Host, actor: Actor, here: bool = False) -> None:
    """Done by a worker of that host, or `here`. Raises NotAllowed, CacheRefused, CacheBusy, NoAnswer."""
    require(actor, Role.OPERATOR, "clear a compiler cache")
    if here:
        rustc_wrapper.clear()
    else:
        questions.ask(f"host.{host.name}", rustc_wrapper.clear, refusals=REFUSALS, patience=CLEAR_SECONDS)
    record(
        Fact(
            "compiler_cache.cleared",
            actor,
            f"The compiler cache of {host.name} was cleared.",
            "host",
            host.pk,
            host.name,
        )
    )
