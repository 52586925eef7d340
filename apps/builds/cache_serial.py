"""Compiler caches as the API, `--json` and pages tell them."""

from typing import Any

from apps.builds.models import CompilerCache


def cache_data(cache: CompilerCache) -> dict[str, Any]:
    return {
        "host": cache.host.name,
        "problem": cache.problem,
        "version": cache.version,
        "location": cache.location,
        "hits": cache.hits,
        "misses": cache.misses,
        "hit_ratio": cache.hit_ratio,
        "errors": cache.errors,
        "reasons": cache.reasons,
        "size_bytes": cache.size_bytes,
        "most_bytes": cache.most_bytes,
        "looked_at": cache.looked_at,
    }
