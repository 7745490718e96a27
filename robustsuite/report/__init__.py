"""Reports: estimates with intervals, the table on the terminal, and the HTML page."""
