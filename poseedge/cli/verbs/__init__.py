"""One module for each verb: its options, what it calls, what it prints."""
