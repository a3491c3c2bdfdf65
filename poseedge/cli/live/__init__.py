"""The verbs that lift people."""
