"""The verbs of the command line, by what they are about; importing a module adds its verbs to `flows.app`."""
