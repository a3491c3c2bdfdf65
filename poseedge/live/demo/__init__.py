"""The demo: from pictures to a moving skeleton."""
