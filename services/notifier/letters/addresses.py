import contextlib

import idna

_WITHOUT_DOTS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Domains whose host ignores dots before the @, with one name for each host."""


def canonical(address: str) -> str:
    """Return the address in lower case, its domain in IDNA form.

    RFC 5321 allows local parts that differ only in case, but no mail host uses that.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    if not domain.isascii():
        # IDNA accepts full stops of other scripts, and a domain may end with a full stop.
        with contextlib.suppress(idna.IDNAError):
            domain = idna.encode(domain, uts46=True).decode().rstrip(".")
    return f"{local}@{domain}"


def folded(address: str) -> str:
    """Return one text for all addresses of a mailbox: without ``+tag`` and ignored dots.

    Never write to it: for some hosts ``+`` is an ordinary letter.
    """
    local, _, domain = canonical(address).rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _WITHOUT_DOTS:
        return f"{local.replace('.', '')}@{_WITHOUT_DOTS[domain]}"
    return f"{local}@{domain}"
