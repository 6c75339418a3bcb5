"""Codecs of one's own: training, what they lose, opening them."""
