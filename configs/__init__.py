"""Experiments: one file each, get_config(argument); every one knows the argument `tiny`."""
