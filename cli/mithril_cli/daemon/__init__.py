"""What the verbs of `ml daemon` do; their table is in `commands.daemon`."""
