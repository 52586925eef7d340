"""Tokens and cost, from rows that are kept for good: totals of what agents measured, and what they printed.

What an agent printed may be corrected downwards by its result, and which of the two tells of more may change. So wholes
are shown, which only grow but for such a correction, and types and models as measured alone: parts that are told from
one source now and from another one later would fall and rise.
"""

from collections.abc import Collection
from itertools import islice

from apps.exposition import metrics
from apps.exposition.highest import Highest
from apps.exposition.metrics import Metric
from apps.exposition.page import Page
from apps.fleet.domain.spending import NOTHING_TOLD, Spending
from apps.fleet.models import Agent
from apps.fleet.spending import by_wave_and_model, told_by

MODELS = 16  # of a wave that have series of their own: an agent may name its models as it likes

highest = Highest()


def collect(page: Page, waves: Collection[str]) -> None:
    whole: dict[tuple[str, str], Spending] = {}
    measured: dict[tuple[str, str], Spending] = {}
    for told in told_by(Agent.objects.filter(group__in=waves)):
        of_wave = told.wave, told.role
        whole[of_wave] = whole.get(of_wave, NOTHING_TOLD) + told.spending
        measured[of_wave] = measured.get(of_wave, NOTHING_TOLD) + told.measured
    for of_wave in sorted(whole):
        put(page, metrics.TOKENS, whole[of_wave].tokens, *of_wave)
        put(page, metrics.COST, whole[of_wave].cost_usd, *of_wave)
        for word, count in types(measured[of_wave]).items():
            put(page, metrics.MEASURED_TOKENS, count, *of_wave, word)


def collect_models(page: Page, waves: Collection[str]) -> None:
    omitted = 0
    for wave, models in by_wave_and_model(waves).items():
        omitted += max(0, len(models) - MODELS)
        # Those first heard of: who is shown stays shown.
        for model, used in islice(models.items(), MODELS):
            put(page, metrics.MODEL_TOKENS, used.tokens, wave, model)
            put(page, metrics.MODEL_COST, used.cost_usd, wave, model)
    page.put(metrics.OMITTED, omitted, "models")


def types(measured: Spending) -> dict[str, int | None]:
    return {
        "input": measured.tokens_in,
        "cache_read": measured.cache_read,
        "cache_write": measured.cache_creation,
        "output": measured.tokens_out,
    }


def put(page: Page, metric: Metric, value: float | None, *labels: str) -> None:
    page.put(metric, highest.with_new(metric, value, *labels), *labels)
