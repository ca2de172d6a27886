"""The offer in files: the format of entries, and the plans made from them.

Times in ``offer/*.yaml`` are wall-clock times of the session's zone, so that a shifted offer still starts at
9 h 30. An entry comes from the CNFPT's announcement (``communique``) or is made up (``illustrative``).
``choices`` names the fields that the announcement does not state, such as shifted dates. Titles and summaries
name no date, because shifting would not move it.
"""
