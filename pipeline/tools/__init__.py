"""What is done with finished datasets: look, plot, export, compare, collect, verify."""
