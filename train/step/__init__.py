"""One step of training: the model, its gradients, its optimiser, over all processes."""
