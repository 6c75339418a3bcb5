"""The commands of training, speaking and evaluation."""
