"""Tables and figures from the CSV files of a study. Nothing here imports torch."""
