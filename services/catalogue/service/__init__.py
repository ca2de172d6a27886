"""Every command and query of the catalogue.

A command decides by the rules, and stores the change with its events and audit entry. Failures are raised
(``failures``), so that nothing is stored. Things of another delegation do not exist for an organiser.
"""
