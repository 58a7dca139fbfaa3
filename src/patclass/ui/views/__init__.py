"""What is drawn: one module for each page, and for the larger parts of one."""
