"""A bundle's ``run.py``, in parts: Python 3.6, numpy and the standard library, and nothing of poseedge but each other.

``poseedge.device.joined`` writes them into one file. The library builds and runs engines with the same parts.
"""
