"""Azure's formats for arguments and documents."""
