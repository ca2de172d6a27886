"""What the services share: event contracts, messaging mechanisms, and the edges of a process.

Business rules never enter here, and nothing here imports a service.
"""

VERSION = "1.0.0"
"""As in pyproject.toml, which the images do not have."""
