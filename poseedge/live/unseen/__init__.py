"""Joints that a detector does not see: which are missing, and what stands in for them."""
