"""Alignment of recordings of minutes to hours with texts that they need not follow everywhere."""
