"""Where objects come from: a folder, Objaverse, or our own generator."""
