"""NaturalSpeech 2: a batch to losses, text and a voice to latents."""
