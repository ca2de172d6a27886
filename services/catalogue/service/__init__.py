"""Every command and query of the catalogue, for the API, the pages, Kafka, the clock and the command line.

Functions ``(tx, command…) → result``, one file per subject, in the transaction of the caller: load, decide by
the rules, store with the events and the audit entry. What cannot be done is raised (``failures``), so that
nothing of it is stored. A delegation acts for itself alone: what belongs to another does not exist for it.
"""
