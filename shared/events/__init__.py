"""The contracts: every event of the system, one module per publisher.

Other programs rely on these classes. A v1 field is never removed or retyped, and a new one has a default.
``python -m services.contracts check`` reports a breach.
"""
