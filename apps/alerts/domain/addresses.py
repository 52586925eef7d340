"""Where alerts may be sent: kinds of addresses that are allowed, and machines that are not."""

import ipaddress
from collections.abc import Iterable

# Kinds of Apprise's that say by their address alone where a message goes. Those that run programs, write files or
# speak to devices of this machine are left out.
SCHEMES: dict[str, str] = {
    "mailto": "e-mail",
    "mailtos": "e-mail",
    "slack": "Slack",
    "discord": "Discord",
    "workflows": "Microsoft Teams",
    "tgram": "Telegram",
    "matrix": "Matrix",
    "matrixs": "Matrix",
    "mmost": "Mattermost",
    "mmosts": "Mattermost",
    "rocket": "Rocket.Chat",
    "rockets": "Rocket.Chat",
    "zulip": "Zulip",
    "pagerduty": "PagerDuty",
    "pover": "Pushover",
    "ntfy": "ntfy",
    "ntfys": "ntfy",
    "gotify": "Gotify",
    "gotifys": "Gotify",
    "json": "webhook (JSON)",
    "jsons": "webhook (JSON)",
}
MOST_CHARACTERS = 1000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class BadAddress(ValueError):
    """An address to which nothing is sent; the message says why, and never quotes its secrets."""


def scheme_of(url: str) -> str:
    """Raises BadAddress."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or not rest:
        raise BadAddress("An address looks like jsons://example.org/hook or slack://TOKEN_A/TOKEN_B/TOKEN_C.")
    if len(url) > MOST_CHARACTERS:
        raise BadAddress(f"An address has at most {MOST_CHARACTERS} characters.")
    if not url.isprintable():
        raise BadAddress("An address is one line, without control characters.")
    if scheme.lower() not in SCHEMES:
        raise BadAddress(f"Addresses of this kind aren't allowed: take one of {', '.join(SCHEMES)}.")
    return scheme.lower()


def networks(texts: Iterable[str]) -> list[Network]:
    """Raises BadAddress."""
    try:
        return [ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip()]
    except ValueError as error:
        raise BadAddress(f"SWARMYARD_ALERT_NETWORKS is wrong: {error}.") from error


def is_public(host: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether this numeric address belongs to the open internet, or to one of the `allowed` networks. What is no
    numeric address isn't public."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    for each in {address, inner(address)}:
        if any(each.version == network.version and each in network for network in allowed):
            return True
    address = inner(address)
    return address.is_global and not address.is_multicast and not address.is_reserved


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does: a way around any check of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address
