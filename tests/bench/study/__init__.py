"""The harness for questions: variants x seeds x budgets of samples as one table, one page and MLflow runs."""
