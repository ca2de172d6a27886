"""The offer as it stands in files: what an entry may say, and the plans that come of it.

Owns the format of ``offer/*.yaml``. Times there are wall-clock times of the session's zone, so that a
shifted offer still starts at 9 h 30 and the MOOC still ends at midnight. Nothing here knows the database.

Every entry says where it comes from: ``communique`` (the CNFPT's announcement of 26 February 2025 says
so) or ``illustrative`` (made up to show the format). In an entry of the first kind, ``choices`` names the
fields that the announcement does not state and that are ours; the dates are among them once they are shifted.
Titles and summaries name no date, which would stay where it was.
"""
