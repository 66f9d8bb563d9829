"""`python -m osaurus_nb_server` is `jupyter osaurus`, where the command is not on the path."""

from osaurus_nb_server.app import main

main()
