"""The tests. They mirror the packages; base names repeat, so every folder is a package."""
