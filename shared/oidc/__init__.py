"""Log-in by OpenID Connect: an issuer says who somebody is, settings say what they may."""
