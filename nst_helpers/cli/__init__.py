"""The command line: what it is told, where it writes, and the loop that paints."""
