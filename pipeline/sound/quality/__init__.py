"""How good a recording is: measures of its signal, and judges that have learned to listen."""
