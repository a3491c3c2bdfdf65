"""The parts of ``run.py`` that read power, clocks and temperatures."""
