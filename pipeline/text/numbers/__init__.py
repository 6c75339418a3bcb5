"""Numbers, dates, times, money and units as they are spoken: a rule a kind, for all languages."""
