"""Tensors in, tensors out: networks, losses and codecs; imports nothing else of ns2."""
