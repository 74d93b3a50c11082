"""What the training stages share: a run of the loop in one or several processes, memory estimate, model card."""
