"""How well a run speaks: its judges, figures and the page to listen to."""
