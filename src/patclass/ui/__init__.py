"""The web page: talks to the service only, and in the words of those who read patents."""
