"""Measurements of VexFS, alone (`make bench`) and beside other stores (`make bench-compare`)."""
