"""The verbs of `ml k8s` that look: a module each."""
