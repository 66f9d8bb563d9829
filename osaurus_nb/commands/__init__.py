"""What `osaurus-nb` and `%osaurus` have in common: one grammar and one set of sentences for the terminal and a cell.

A command is told what was said and who said it (`person`), and gives back what is to be shown (`told`). It prints
nothing. No command takes a secret from its line: whoever gave it is asked, without echo.
"""
