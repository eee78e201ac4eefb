"""The verbs of `ml instance`, each in a module that is imported when it is typed. Their table is in `commands`."""
