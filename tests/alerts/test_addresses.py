"""Where alerts may be sent: kinds of addresses, and machines."""

import pytest

from apps.alerts.domain.addresses import BadAddress, is_public, networks, scheme_of


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:0a00:0001::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "localhost",
        "example.org",
    ],
)
def test_it_knows_addresses_that_are_not_public(host):
    assert not is_public(host)


@pytest.mark.parametrize(
    "host", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_it_knows_public_addresses(host):
    assert is_public(host)


def test_a_network_may_be_allowed():
    allowed = networks(["10.1.0.0/16", " 127.0.0.1", ""])

    assert is_public("10.1.2.3", allowed)
    assert is_public("::ffff:10.1.2.3", allowed)
    assert is_public("127.0.0.1", allowed)
    assert not is_public("127.0.0.2", allowed)
    assert not is_public("10.2.0.1", allowed)


def test_a_network_that_is_none_is_told_by_its_setting():
    with pytest.raises(BadAddress, match="SWARMYARD_ALERT_NETWORKS is wrong"):
        networks(["10.0.0.0/8", "home"])


@pytest.mark.parametrize(
    "url", ["exec://rm", "file:///etc/passwd", "syslog://", "dbus://x", "http://example.org", "xml://a"]
)
def test_kinds_that_are_not_on_the_list_are_refused(url):
    with pytest.raises(BadAddress):
        scheme_of(url)


@pytest.mark.parametrize("url", ["", "jsons", "jsons://", "://x", "json://" + "x" * 1000])
def test_what_is_no_address_is_refused_without_quoting_it(url):
    with pytest.raises(BadAddress) as refusal:
        scheme_of(url)

    assert "xxx" not in str(refusal.value)


def test_the_kind_is_taken_in_small_letters():
    assert scheme_of(" JSONS://example.org/hook ") == "jsons"
