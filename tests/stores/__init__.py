"""Files in object stores, against a real server of S3 on loopback."""
