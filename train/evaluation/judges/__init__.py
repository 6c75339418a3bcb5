"""What judges speech: recognisers of words and phones, of speakers, and of how good it sounds."""
