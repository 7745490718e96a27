"""From a torch module to a graph whose operators all have rules."""
