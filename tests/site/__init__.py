"""The site of the documentation: what builds it from the pages and the code, and what holds it together."""
