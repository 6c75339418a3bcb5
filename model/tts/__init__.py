"""NaturalSpeech 2: from a batch to losses, and from text and a voice to latents."""
