"""What the services share: event contracts, messaging mechanisms, and the edges of a process.

Business rules never enter here, and nothing here imports a service.
"""
