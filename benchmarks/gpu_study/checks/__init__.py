"""What verifies genscope on a GPU, one file a check: each asks one question and answers it with figures of its own making.

A check has a ``QUESTION`` and ``check(setting) -> dict[str, Verdict]``. Found by looking into this folder.
"""
