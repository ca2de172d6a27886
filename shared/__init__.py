"""What the services share: event contracts, messaging and the edges of a process.

It holds no business rules and imports no service.
"""

VERSION = "1.0.0"
"""The version of pyproject.toml, which the images do not contain."""
