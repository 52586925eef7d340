"""Names for branches and repositories."""

import re
from collections.abc import Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
AUTHORITY = re.compile(
    r"(?:(?P<user>[^/?#:@]*)(?::[^/?#]*)?@)?(?P<host>(?:\[[^\]/?#@]*\]|[^/?#:@]*)(?::\d*)?)(?=[/?#]|\Z)"
)

# In running text: an address of a transport, and one for ssh with a password before its host.
URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+|(?<![^\s'\"])[^\s'\"/:@]+:[^\s'\"/@]+@[^\s'\"]+")
# In one URL, each as a whole: the password before the host, and all after "?" or "#".
SECRETS = re.compile(r"(?<=://)[^?]*(?=@)|(?<=[?#]).+")


def branch_of(agent_name: str) -> str:
    """The branch of the agent `w12/agent-05`: `yard/w12/agent-05`."""
    return f"yard/{agent_name}"


def name_from(path_or_url: str) -> str:
    """A repository's short name from where it lies: the last part, with odd characters replaced."""
    last = re.split(r"[/:\\]", path_or_url.rstrip("/\\"))[-1].removesuffix(".git")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:80]
    return name or "repository"


def is_url(text: str) -> bool:
    """Whether git would clone this over a transport rather than open a directory."""
    return "://" in text or re.match(r"^[\w.-]+@[\w.-]+:", text) is not None


def name_is_valid(name: str) -> bool:
    return NAME.fullmatch(name) is not None


def without_secrets(url: str) -> str:
    """A URL as everybody may see it: people put passwords and tokens into it, before the host or after "?".

    One that is read in two ways, as a password with a "/" in it makes it, is not shown beyond its scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return re.split("[?#]", re.sub(r":[^/:@]*@", "@", url))[0]
    found = AUTHORITY.match(rest)
    if found is None:
        return f"{scheme}://…"
    user = "" if scheme.lower() in ("http", "https") or not found["user"] else f"{found['user']}@"
    path = re.split("[?#]", rest[found.end() :])[0]
    return f"{scheme}://{user}{found['host']}{path}"


def redacted(text: str, urls: Sequence[str] = ()) -> str:
    """What a program said, with its URLs as everybody may see them. `urls` are those that it was given: their secrets
    are found however they are quoted."""
    for url in sorted(urls, key=len, reverse=True):
        text = text.replace(url, without_secrets(url))
        for secret in SECRETS.findall(url):
            text = text.replace(secret, "…") if len(secret) > 2 else text
    return URL.sub(lambda found: without_secrets(found[0]), text)
