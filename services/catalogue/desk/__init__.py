"""What organisers may do, whether they ask by JSON, by a form or by a sheet.

One transaction each: look, decide by the rules, store with the events and the audit line. What cannot be done
is raised (``failures``), so that nothing of it stays. A delegation acts for itself alone: what belongs to
another does not exist for it.
"""
