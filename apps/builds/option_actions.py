"""What Swarmyard does for the builds of a repository, switched on and off."""

from collections.abc import Mapping

from django.db import models, transaction

from apps.access.roles import require
from apps.builds.exceptions import OptionRefused
from apps.builds.models import BuildOptions, Scheme
from apps.events.actions import Fact, record
from apps.events.domain.actor import Actor, Role
from apps.workspaces.models import Repository


def switches() -> list[str]:
    """Names of all that can be on or off."""
    return [field.name for field in BuildOptions._meta.fields if isinstance(field, models.BooleanField)]


def switched_off(options: BuildOptions) -> list[str]:
    """What is on where nobody says otherwise."""
    usual = BuildOptions()
    return [name for name in switches() if getattr(usual, name) and not getattr(options, name)]


def words_of(options: BuildOptions) -> dict[str, str]:
    """Each option and what it is set to, as people write it."""
    return {"scheme": options.scheme} | {
        name: "on" if getattr(options, name) else "off" for name in switches()
    }


@transaction.atomic
def set_options(*, repository: Repository, words: Mapping[str, str], actor: Actor) -> BuildOptions:
    """For agents whose workspaces are made from now on. Raises OptionRefused, NotAllowed."""
    require(actor, Role.OPERATOR, "change how a repository is built")
    options, _ = BuildOptions.objects.select_for_update().get_or_create(repository=repository)
    for name, word in words.items():
        set_option(options, name, word)
    options.save(update_fields=[*words])
    told = ", ".join(f"{name} {word}" for name, word in words.items())
    text = f"Builds of {repository.name}: {told}."
    record(Fact("repository.build_options", actor, text, "repository", repository.pk, repository.name))
    return options


def set_option(options: BuildOptions, name: str, word: str) -> None:
    if name == "scheme":
        if word not in Scheme.values:
            raise OptionRefused(f"scheme is one of {', '.join(Scheme.values)}.")
        options.scheme = word
    elif name not in switches():
        raise OptionRefused(f"There is no option “{name}”: there are {', '.join(words_of(options))}.")
    elif word not in ("on", "off"):
        raise OptionRefused(f"{name} is on or off.")
    else:
        setattr(options, name, word == "on")
