"""What the verbs of `ml hooks` and `ml drill` do."""
