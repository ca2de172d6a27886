"""Log-in at an issuer of OpenID Connect."""
