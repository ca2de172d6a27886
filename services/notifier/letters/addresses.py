"""When two texts are one address, and when two addresses are one mailbox. Pure."""

import contextlib

import idna

_WITHOUT_DOTS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Domains whose host ignores dots before the @, and the name that all of them share."""


def canonical(address: str) -> str:
    """Return the address in lower case, its domain as the DNS has it (IDNA 2008).

    Two local parts may differ in their case alone (RFC 5321), but no mail host makes two mailboxes of that.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    if not domain.isascii():
        # A full stop of another script may end it, as one of ours may in the DNS.
        with contextlib.suppress(idna.IDNAError):
            domain = idna.encode(domain, uts46=True).decode().rstrip(".")
    return f"{local}@{domain}"


def folded(address: str) -> str:
    """Return one text for all addresses of a mailbox: without ``+tag``, nor dots where its host ignores them.

    It is for counting, not for writing to: some hosts take ``+`` as a letter like any other.
    """
    local, _, domain = canonical(address).rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _WITHOUT_DOTS:
        return f"{local.replace('.', '')}@{_WITHOUT_DOTS[domain]}"
    return f"{local}@{domain}"
