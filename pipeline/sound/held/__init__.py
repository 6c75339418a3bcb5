"""Recordings that other files hold, read where they lie."""
