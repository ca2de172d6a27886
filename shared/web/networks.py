"""Limits count by network, because one visitor may have many addresses."""

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection


def network_of(visit: HTTPConnection) -> str:
    """One customer has a /24 of IPv4, or a /56 of IPv6.

    Behind a trusted proxy (FORWARDED_ALLOW_IPS) ``X-Forwarded-For`` names the visitor.
    """
    return _network_of(visit, 24, 56)


def visitor_of(visit: HTTPConnection) -> str:
    """Return the IPv4 address, or the IPv6 /64 of a house."""
    return _network_of(visit, 32, 64)


def _network_of(visit: HTTPConnection, bits_v4: int, bits_v6: int) -> str:
    host = visit.client.host if visit.client is not None else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(ip_network((address, bits_v4 if address.version == 4 else bits_v6), strict=False))
