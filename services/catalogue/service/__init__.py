"""Every command and query of the catalogue, for the API, the pages, Kafka, the clock and the command line.

A command takes ``acting`` (who, in which transaction), decides by the rules, and stores the change with its
events and its audit entry. What cannot be done is raised (``failures``), so that nothing of it is stored.
What belongs to another delegation does not exist for an organiser.
"""
