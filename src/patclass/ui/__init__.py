"""The web page for patent analysts. Talks to the service only."""
