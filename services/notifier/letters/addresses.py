"""When two texts are one address. Pure."""

import idna


def canonical(address: str) -> str:
    """Return the address in lower case, its domain as the DNS has it (IDNA 2008).

    Two local parts may differ in their case alone (RFC 5321), but no mail host makes two mailboxes of that.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return f"{local}@{domain}"
