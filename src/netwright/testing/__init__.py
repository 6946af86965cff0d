"""What every member of a family owes, as checks that plug-ins can run too."""
