"""Every command and query of the catalogue.

Failures are raised (``failures``), so that nothing is stored. Things of another delegation do not exist for
an organiser.
"""
