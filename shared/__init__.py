"""Event contracts, messaging and the edges of a process. It has no business rules and imports no service."""

VERSION = "1.0.0"
