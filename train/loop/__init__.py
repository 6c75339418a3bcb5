"""Steps of training one after another, and what looks on."""
