"""Latent diffusion: noise schedules, objectives, samplers, guidance, and the loss on codes."""
