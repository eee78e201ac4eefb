"""`ml`, the command line: asks the daemon over its Unix socket and shows what it answers."""
