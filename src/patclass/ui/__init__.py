"""The web page: talks to the service only, in the words of those who read patents."""
