_DOMAINS = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": ("outlook.com", "outlook.fr", "hotmail.com", "hotmail.fr", "live.com", "live.fr", "msn.com"),
    "orange": ("orange.fr", "wanadoo.fr"),
    "free": ("free.fr",),
    "sfr": ("sfr.fr", "neuf.fr", "cegetel.net", "club-internet.fr"),
    "laposte": ("laposte.net",),
    "yahoo": ("yahoo.com", "yahoo.fr", "ymail.com"),
    "apple": ("icloud.com", "me.com", "mac.com"),
}
_PROVIDERS = {domain: provider for provider, domains in _DOMAINS.items() for domain in domains}
OTHER = "other"


def provider_of(address: str) -> str:
    return _PROVIDERS.get(address.rpartition("@")[2].lower(), OTHER)
