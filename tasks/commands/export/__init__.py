"""View sets in the layouts that other tools and trainings read. docs/conventions.md has the table."""
