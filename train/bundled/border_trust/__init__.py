"""How the network that judges borders was made: speech, wrong texts, evidence, the fit."""
